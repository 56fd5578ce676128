/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Connections: cgroup programs on the container's own cgroup. connect and sendmsg answer EPERM; the packet
 * programs hold what has no such hook (raw sockets, arriving connections). These programs can be
 * preempted: no per-CPU buffers. */
#pragma once

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_DCCP 33
#define IPPROTO_FRAGMENT 44
#define IPPROTO_SCTP 132
#define IPPROTO_UDPLITE 136
#define PROTOCOL_RAW 255     /* in rules and records: any raw or packet socket */
#define IPPROTO_MPTCP 262
#define EGRESS 0
#define INGRESS 1
#define LISTEN 2

/* Who judges: what is known of the acting task and what can be done to it. */
enum judged_from {
	FROM_PACKET,             /* nothing */
	FROM_CGROUP,             /* the task is current; older kernels refuse signals here */
	FROM_HOOK,               /* the task is current */
};

struct peer {
	u32 family;
	u32 address[4];
	u32 port;                /* that rules are about, host order */
	u32 source_port;         /* of a packet */
	u32 protocol;            /* TCP, UDP or PROTOCOL_RAW */
	u32 direction;
	u32 any_port;            /* the kernel will choose one: a rule about any port is about this one */
};

/* Rules know TCP and UDP: what connects counts as TCP, what sends datagrams as UDP; 0: what has no ports. */
static __always_inline u32 known_protocol(u32 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_MPTCP:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		return IPPROTO_TCP;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return IPPROTO_UDP;
	}
	return 0;
}

/* The bit of rules' protocols. */
static __always_inline u32 protocol_bit(struct peer *p)
{
	if (p->protocol == PROTOCOL_RAW)
		return 1u << 8;
	return 1u << (p->direction * 2 + (p->protocol == IPPROTO_UDP));
}

struct connection {
	void *rules;
	void *list;
	struct lists lists;
	u32 protocol_bit;
	u32 port;
	u32 any_port;
	u32 enforced, audited;
};

struct port_scan {
	void *list;
	u32 offset, port, found;
};

static long port_step(u32 i, struct port_scan *scan)
{
	u32 low_index = scan->offset + 2 * i, high_index = low_index + 1;
	u32 *low = bpf_map_lookup_elem(scan->list, &low_index);
	u32 *high = bpf_map_lookup_elem(scan->list, &high_index);
	if (!low || !high)
		return 1;
	if (*low <= scan->port && scan->port <= *high) {
		scan->found = 1;
		return 1;
	}
	return 0;
}
LOOP_BODY(port_step, struct port_scan)

static __always_inline bool port_listed(void *list, u32 offset, u32 pairs, u32 port)
{
	struct port_scan scan = { .list = list, .offset = offset, .port = port };
	LOOP(pairs, port_step, &scan);
	return scan.found;
}

static long connection_step(u32 i, struct connection *c)
{
	u32 index = c->lists.match_offset + i;
	u32 *entry = bpf_map_lookup_elem(c->list, &index);
	if (!entry)
		return 1;
	u32 rank = *entry;
	if (rank >= c->enforced && rank >= c->audited)
		return 1;
	struct rule *rule = bpf_map_lookup_elem(c->rules, &rank);
	if (!rule)
		return 1;
	bool enforced = rule->flags & RULE_ENFORCED;
	if (rank >= (enforced ? c->enforced : c->audited))
		return 0;
	if (!(rule->protocols & c->protocol_bit))
		return 0;
	if (rule->ports_count && !c->any_port && !port_listed(c->list, rule->ports_offset, rule->ports_count, c->port))
		return 0;
	if (rule->flags & (RULE_EXCEPT_ADDRESS | RULE_EXCEPT_PORT)) {
		bool address = !(rule->flags & RULE_EXCEPT_ADDRESS) ||
			       listed(c->list, c->lists.except_offset, c->lists.except_count, rank);
		bool port = !(rule->flags & RULE_EXCEPT_PORT) ||
			    (!c->any_port && port_listed(c->list, rule->except_ports_offset, rule->except_ports_count, c->port));
		if (address && port)
			return 0;
	}
	if (enforced)
		c->enforced = rank;
	else
		c->audited = rank;
	return 0;
}
LOOP_BODY(connection_step, struct connection)

/* An IPv4 address written as IPv6 is that IPv4 address. */
static __always_inline void unmap_address(struct peer *p)
{
	if (p->family == AF_INET6 && !p->address[0] && !p->address[1] && p->address[2] == bpf_htonl(0xffff)) {
		p->family = AF_INET;
		p->address[0] = p->address[3];
		p->address[2] = p->address[3] = 0;
	}
}

/* Who connects to no address at all means the own host (ip(7), ipv6(7)). */
static __always_inline void resolve_unspecified(struct peer *p)
{
	if (p->address[0] || p->address[1] || p->address[2] || p->address[3])
		return;
	p->address[p->family == AF_INET ? 0 : 3] = p->family == AF_INET ? bpf_htonl(0x7f000001) : bpf_htonl(1);
}

/* 1: goes on; 0: refused. */
static __noinline int judge_connection(struct peer *p, struct container *c, u64 cgroup, enum judged_from from)
{
	if (!p || !c)
		return 1;
	struct address_key key = { .bits = 32 + 32 + 128, .profile = c->profile };
	u32 profile = c->profile;
	struct connection s = { .enforced = NONE, .audited = NONE, .port = p->port, .any_port = p->any_port };

	key.family = p->family == AF_INET ? 4 : 6;
	key.address[0] = p->address[0];
	key.address[1] = p->address[1];
	key.address[2] = p->address[2];
	key.address[3] = p->address[3];
	struct lists *found = bpf_map_lookup_elem(&addresses, &key);
	if (!found || !found->match_count)
		return 1;
	s.rules = bpf_map_lookup_elem(&rules, &profile);
	s.list = bpf_map_lookup_elem(&rule_lists, &profile);
	if (!s.rules || !s.list)
		return 1;
	s.lists = *found;
	s.protocol_bit = protocol_bit(p);
	LOOP(s.lists.match_count, connection_step, &s);
	if (s.enforced == NONE && s.audited == NONE)
		return 1;

	int allowed = 1;
	u32 action = ACTION_ALERT;
	if (s.enforced != NONE) {
		u32 rank = s.enforced;
		struct rule *rule = bpf_map_lookup_elem(s.rules, &rank);
		action = rule ? rule->action : ACTION_BLOCK;
		allowed = action == ACTION_ALERT;
	}
	struct record r = { .kind = RECORD_CONNECT };
	r.outcome = allowed ? OUTCOME_ALLOWED : OUTCOME_DENIED;
	if (action >= ACTION_KILL_PROCESS && (from == FROM_HOOK || (settings.signals_from_cgroups && from == FROM_CGROUP))) {
		bpf_send_signal(9);
		r.outcome = OUTCOME_KILLED;
	}
	r.cgroup = cgroup;
	r.generation = c->generation;
	r.enforced = s.enforced;
	r.audited = s.audited;
	r.number = p->port << 16 | (p->protocol & 255) << 8 | p->direction;
	r.family = p->family;
	r.address[0] = p->address[0];
	r.address[1] = p->address[1];
	r.address[2] = p->address[2];
	r.address[3] = p->address[3];
	if (from != FROM_PACKET) {
		r.pid = bpf_get_current_pid_tgid() >> 32;
		r.uid = bpf_get_current_uid_gid();
	}
	/* What leaves and is allowed has been reported when its socket was connected. */
	if (from == FROM_PACKET && allowed && p->direction == EGRESS)
		return 1;
	if (within_allowance(cgroup))
		send(&r, sizeof(r));
	else
		suppress(&r);
	return allowed;
}

/* The container whose cgroup a program is attached to, found from the acting task. */
static __always_inline struct container *acting_container(u64 *cgroup)
{
	*cgroup = bpf_get_current_cgroup_id();
	return container_of_cgroup(cgroup);
}

/* Peers that an unconnected UDP socket has sent to: their answers are no arrivals. */
struct sent_key {
	u64 cookie;
	u32 address[4];
	u32 port;
	u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 14);
	__type(key, struct sent_key);
	__type(value, u8);
} sent_to SEC(".maps");

static __always_inline int outgoing(struct bpf_sock_addr *ctx, bool v6, bool message)
{
	u64 cgroup = 0;
	struct container *c = acting_container(&cgroup);
	struct peer p = { .direction = EGRESS };

	if (!c)
		return 1;
	p.protocol = known_protocol(ctx->protocol);
	if (!p.protocol)
		return 1;
	p.port = bpf_ntohs(ctx->user_port);
	if (v6) {
		p.family = AF_INET6;
		p.address[0] = ctx->user_ip6[0];
		p.address[1] = ctx->user_ip6[1];
		p.address[2] = ctx->user_ip6[2];
		p.address[3] = ctx->user_ip6[3];
		unmap_address(&p);
	} else {
		p.family = AF_INET;
		p.address[0] = ctx->user_ip4;
	}
	resolve_unspecified(&p);
	if (c->profile && !judge_connection(&p, c, cgroup, FROM_CGROUP))
		return 0;
	if (message) {
		struct sent_key key = { .cookie = bpf_get_socket_cookie(ctx), .port = p.port };
		u8 one = 1;
		__builtin_memcpy(key.address, p.address, sizeof(key.address));
		bpf_map_update_elem(&sent_to, &key, &one, BPF_ANY);
	}
	return 1;
}

SEC("cgroup/connect4")
int moat_connect4(struct bpf_sock_addr *ctx) { return outgoing(ctx, false, false); }

SEC("cgroup/connect6")
int moat_connect6(struct bpf_sock_addr *ctx) { return outgoing(ctx, true, false); }

SEC("cgroup/sendmsg4")
int moat_sendmsg4(struct bpf_sock_addr *ctx) { return outgoing(ctx, false, true); }

SEC("cgroup/sendmsg6")
int moat_sendmsg6(struct bpf_sock_addr *ctx) { return outgoing(ctx, true, true); }

/* Whether a packet of a protocol with connections opens one. */
static __always_inline bool opens(struct __sk_buff *skb, u32 protocol, u32 at)
{
	u8 byte = 0;
	switch (protocol) {
	case IPPROTO_TCP: /* SYN without ACK (RFC 9293) */
		return !bpf_skb_load_bytes(skb, at + 13, &byte, 1) && (byte & 0x12) == 0x02;
	case IPPROTO_SCTP: /* an INIT chunk, which stands alone (RFC 9260) */
		return !bpf_skb_load_bytes(skb, at + 12, &byte, 1) && byte == 1;
	case IPPROTO_DCCP: /* DCCP-Request (RFC 4340) */
		return !bpf_skb_load_bytes(skb, at + 8, &byte, 1) && !(byte & 0x1e);
	}
	return true;
}

/* Reads the peer of a packet; false where there is nothing to judge: other protocols, later fragments, segments
 * that do not open a connection. */
static __always_inline bool peer_of_packet(struct __sk_buff *skb, u32 direction, struct peer *p)
{
	u8 first = 0, next = 0;
	u32 at;
	u16 ports[2];

	p->direction = direction;
	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return false;
	if (first >> 4 == 4) {
		u16 fragment = 0;
		if (bpf_skb_load_bytes(skb, 6, &fragment, 2) || bpf_ntohs(fragment) & 0x1fff)
			return false;
		if (bpf_skb_load_bytes(skb, 9, &next, 1) ||
		    bpf_skb_load_bytes(skb, direction == EGRESS ? 16 : 12, &p->address[0], 4))
			return false;
		p->family = AF_INET;
		at = (first & 15) * 4;
	} else {
		if (bpf_skb_load_bytes(skb, 6, &next, 1) ||
		    bpf_skb_load_bytes(skb, direction == EGRESS ? 24 : 8, p->address, 16))
			return false;
		p->family = AF_INET6;
		at = 40;
		/* Extension headers (RFC 8200): hop-by-hop, routing, destination options, fragment. */
		for (int i = 0; i < 6; i++) {
			u8 header[8];
			if (next != 0 && next != 43 && next != 60 && next != IPPROTO_FRAGMENT)
				break;
			if (bpf_skb_load_bytes(skb, at, header, 8))
				return false;
			if (next == IPPROTO_FRAGMENT) {
				if ((header[2] << 8 | header[3]) & 0xfff8)
					return false;
				at += 8;
			} else {
				at += (header[1] + 1) * 8;
			}
			next = header[0];
		}
		unmap_address(p);
	}
	p->protocol = known_protocol(next);
	if (!p->protocol || bpf_skb_load_bytes(skb, at, ports, 4) || !opens(skb, next, at))
		return false;
	p->port = bpf_ntohs(ports[1]);
	p->source_port = bpf_ntohs(ports[0]);
	return true;
}

/* Packets have no task: the container is the cgroup of the socket. */
static __always_inline struct container *container_of_packet(struct __sk_buff *skb, u64 *cgroup)
{
	*cgroup = bpf_skb_cgroup_id(skb);
	return container_of_cgroup(cgroup);
}

/* Whether a datagram comes from a peer that its socket is connected to or has sent to. */
static __always_inline bool answers(struct __sk_buff *skb, struct peer *p)
{
	struct sent_key key = { .cookie = bpf_get_socket_cookie(skb), .port = p->source_port };
	struct bpf_sock *sk = skb->sk;

	if (sk && sk->dst_port && bpf_ntohs(sk->dst_port) == p->source_port)
		return true;
	__builtin_memcpy(key.address, p->address, sizeof(key.address));
	return bpf_map_lookup_elem(&sent_to, &key);
}

SEC("cgroup_skb/egress")
int moat_packet_out(struct __sk_buff *skb)
{
	u64 cgroup = 0;
	struct container *c = container_of_packet(skb, &cgroup);
	struct peer p = {};

	if (!c)
		return 1;
	if (!c->profile || !peer_of_packet(skb, EGRESS, &p))
		return 1;
	return judge_connection(&p, c, cgroup, FROM_PACKET);
}

SEC("cgroup_skb/ingress")
int moat_packet_in(struct __sk_buff *skb)
{
	u64 cgroup = 0;
	struct container *c = container_of_packet(skb, &cgroup);
	struct peer p = {};

	if (!c)
		return 1;
	if (!c->profile || !peer_of_packet(skb, INGRESS, &p))
		return 1;
	if (p.protocol == IPPROTO_UDP && answers(skb, &p))
		return 1;
	return judge_connection(&p, c, cgroup, FROM_PACKET);
}
