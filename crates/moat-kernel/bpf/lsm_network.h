/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What cgroup programs do not see of the network: ports that are bound and listened on, raw and packet sockets as
 * they are made, and connections of protocols whose connect has no cgroup hook. Connections and datagrams
 * otherwise: network.h. */
#pragma once

#define SOCK_RAW 3
#define AF_PACKET 17
#define AF_XDP 44

struct socket_address {
	u16 family;
	u16 port;
	u32 v4;                  /* of IPv6: the flow label */
	u32 v6[4];
};

static __always_inline bool read_address(struct sockaddr *from, int length, u32 family, struct peer *p)
{
	struct socket_address address = {};
	if (family == AF_INET && length >= 8)
		bpf_probe_read_kernel(&address, 8, from);
	else if (family == AF_INET6 && length >= 24)
		bpf_probe_read_kernel(&address, 24, from);
	else
		return false;
	p->family = family;
	p->port = bpf_ntohs(address.port);
	if (family == AF_INET)
		p->address[0] = address.v4;
	else
		__builtin_memcpy(p->address, address.v6, sizeof(p->address));
	unmap_address(p);
	return true;
}

/* The container where its rules need any of `needs`, and what acts is its own and not the runtime on its way in. */
static __always_inline struct container *entered_container(u32 needs, u64 *cgroup)
{
	struct container *c = container_with(needs, cgroup);
	if (!c)
		return NULL;
	struct task_state *state = state_of(bpf_get_current_task_btf());
	return state && state->role == ROLE_RUNTIME ? NULL : c;
}

SEC("lsm/socket_bind")
int BPF_PROG(moat_lsm_bind, struct socket *socket, struct sockaddr *address, int length)
{
	u64 cgroup;
	struct container *c = entered_container(NEED_LISTEN, &cgroup);
	struct peer p = { .direction = LISTEN };
	struct sock *sk = socket->sk;

	if (!c || !sk)
		return 0;
	/* Addresses are read as the socket's family has them: bind takes no other, but AF_UNSPEC for AF_INET. */
	p.protocol = known_protocol(sk->sk_protocol);
	if (!p.protocol || !read_address(address, length, sk->__sk_common.skc_family, &p))
		return 0;
	return error_where(!judge_connection(&p, c, cgroup, FROM_HOOK));
}

SEC("lsm/socket_listen")
int BPF_PROG(moat_lsm_listen, struct socket *socket)
{
	u64 cgroup;
	struct container *c = entered_container(NEED_LISTEN, &cgroup);
	struct peer p = { .direction = LISTEN };
	struct sock *sk = socket->sk;

	if (!c || !sk)
		return 0;
	p.family = sk->__sk_common.skc_family;
	p.protocol = known_protocol(sk->sk_protocol);
	if (!p.protocol || (p.family != AF_INET && p.family != AF_INET6))
		return 0;
	p.port = sk->__sk_common.skc_num;
	p.any_port = !p.port;
	if (p.family == AF_INET)
		p.address[0] = sk->__sk_common.skc_rcv_saddr;
	else
		BPF_CORE_READ_INTO(&p.address, sk, __sk_common.skc_v6_rcv_saddr);
	unmap_address(&p);
	return error_where(!judge_connection(&p, c, cgroup, FROM_HOOK));
}

SEC("lsm/socket_create")
int BPF_PROG(moat_lsm_socket, int family, int type, int protocol, int kernel)
{
	u64 cgroup;
	struct container *c;
	struct peer p = { .direction = EGRESS, .protocol = PROTOCOL_RAW, .family = AF_INET };

	if (kernel || !(family == AF_PACKET || family == AF_XDP || (type == SOCK_RAW && (family == AF_INET || family == AF_INET6))))
		return 0;
	c = entered_container(NEED_RAW, &cgroup);
	if (!c)
		return 0;
	return error_where(!judge_connection(&p, c, cgroup, FROM_HOOK));
}

/* TCP and UDP are judged in the container's cgroup. */
SEC("lsm/socket_connect")
int BPF_PROG(moat_lsm_connect, struct socket *socket, struct sockaddr *address, int length)
{
	u64 cgroup;
	struct sock *sk = socket->sk;
	struct peer p = { .direction = EGRESS };
	u16 family = 0;

	if (!sk)
		return 0;
	u32 protocol = sk->sk_protocol;
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)
		return 0;
	struct container *c = entered_container(NEED_EGRESS, &cgroup);
	if (!c)
		return 0;
	u32 own = sk->__sk_common.skc_family;
	p.protocol = known_protocol(protocol);
	if (!p.protocol || (own != AF_INET && own != AF_INET6) || length < 2)
		return 0;
	bpf_probe_read_kernel(&family, sizeof(family), address);
	if (!read_address(address, length, family, &p))
		return 0;
	resolve_unspecified(&p);
	return error_where(!judge_connection(&p, c, cgroup, FROM_HOOK));
}
