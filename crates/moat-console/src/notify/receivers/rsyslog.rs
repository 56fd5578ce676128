//! A real rsyslogd with a configuration of its own, which hands over what it understood of each message.

use std::fs;
use std::io;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

pub struct Rsyslog {
    pub port: u16,
    /// PEM of whom to trust for TLS.
    pub authority: String,
    lines: Lines<BufReader<pipe::Receiver>>,
    _process: Child,
    _folder: TempDir,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Udp,
    Tcp,
    Tls,
}

impl Rsyslog {
    /// `None` where rsyslogd is not installed; said so.
    pub async fn start(input: Input) -> Option<Rsyslog> {
        if !Path::new("/usr/sbin/rsyslogd").exists() {
            moat_testkit::skip("rsyslog", "no rsyslogd: install the packages rsyslog and rsyslog-gnutls");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let authority = certificates(folder.path());
        // The datagram port is free now and nobody but this test wants it.
        let free =
            UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let listens = match input {
            Input::Udp => format!(
                "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{free}\")\n"
            ),
            Input::Tcp => format!(
                "module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"0\" listenPortFileName=\"{}\")\n",
                at("port")
            ),
            Input::Tls => format!(
                "global(defaultNetstreamDriverCAFile=\"{}\" defaultNetstreamDriverCertFile=\"{}\" \
                 defaultNetstreamDriverKeyFile=\"{}\")\n\
                 module(load=\"imtcp\" StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.Authmode=\"anon\")\n\
                 input(type=\"imtcp\" address=\"127.0.0.1\" port=\"0\" listenPortFileName=\"{}\")\n",
                at("ca.pem"),
                at("server.pem"),
                at("server.key"),
                at("port")
            ),
        };
        let fifo = folder.path().join("out");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
        assert!(made.success(), "mkfifo {}", fifo.display());
        let configuration = format!(
            r#"global(workDirectory="{folder}" net.enableDNS="off" maxMessageSize="64k"
                parser.escapeControlCharactersOnReceive="off")
            {listens}
            module(load="mmpstrucdata")
            template(name="line" type="list") {{ property(name="$!") constant(value="\n") }}
            action(type="mmpstrucdata" sd_name.lowercase="off")
            set $!host = $hostname;
            set $!app = $app-name;
            set $!kind = $msgid;
            set $!priority = $pri;
            set $!message = $msg;
            action(type="ompipe" pipe="{out}" template="line")
            "#,
            folder = folder.path().display(),
            out = fifo.display(),
        );
        fs::write(folder.path().join("rsyslog.conf"), configuration).expect("written");
        let reader = pipe::OpenOptions::new().read_write(true).open_receiver(&fifo).expect("a pipe");
        let mut process = Command::new("/usr/sbin/rsyslogd")
            .args(["-n", "-f", &at("rsyslog.conf"), "-i", &at("pid")])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("rsyslogd starts");
        let port = listening(&mut process, input, folder.path(), free).await;
        let lines = BufReader::new(reader).lines();
        Some(Rsyslog { port, authority, lines, _process: process, _folder: folder })
    }

    /// The next message as rsyslog parsed it.
    pub async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_mins(1), self.lines.next_line())
            .await
            .expect("a message within a minute")
            .expect("the pipe is read")
            .expect("the pipe is open");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

/// The port, once rsyslogd listens on it. It tells nobody when that is, so this asks.
async fn listening(process: &mut Child, input: Input, folder: &Path, free: u16) -> u16 {
    for _ in 0..3000 {
        if let Some(status) = process.try_wait().expect("asked") {
            panic!("rsyslogd ended: {status}");
        }
        let port = match input {
            // The port is taken once it cannot be had.
            Input::Udp => match UdpSocket::bind(("127.0.0.1", free)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => Some(free),
                _ => None,
            },
            Input::Tcp | Input::Tls => {
                fs::read_to_string(folder.join("port")).ok().and_then(|text| text.trim().parse().ok())
            }
        };
        if let Some(port) = port {
            return port;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("rsyslogd does not listen");
}

/// An authority and a certificate for 127.0.0.1, in the folder; returns the authority's.
fn certificates(folder: &Path) -> String {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "receivers");
    let pem = authority.self_signed(&authority_key).expect("signed").pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let server =
        rcgen::CertificateParams::new(names).expect("parameters").signed_by(&key, &issuer).expect("signed");
    for (name, text) in
        [("ca.pem", &pem), ("server.pem", &server.pem()), ("server.key", &key.serialize_pem())]
    {
        fs::write(folder.join(name), text).expect("written");
    }
    pem
}
