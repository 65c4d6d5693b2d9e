//! A web server of a few lines, which says what a test wants and keeps what it was asked.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    /// With its query.
    pub(super) path: String,
    pub(super) authorization: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Reply {
    Whole(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A body that never ends, as fast as it is taken.
    Endless,
    /// A byte now and then.
    Trickle,
}

impl Reply {
    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Whole(200, vec![], body.into())
    }
    pub(super) fn status(status: u16) -> Self {
        Self::Whole(status, vec![], vec![])
    }
    pub(super) fn to(url: &str) -> Self {
        Self::Whole(302, vec![("location", url.to_owned())], vec![])
    }
    pub(super) fn wants(challenge: String) -> Self {
        Self::Whole(401, vec![("www-authenticate", challenge)], vec![])
    }
}

#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
}

/// A certificate and its key, as files.
pub(super) struct Tls(pub(super) PathBuf, pub(super) PathBuf);

impl Tls {
    fn config(&self) -> Arc<rustls::ServerConfig> {
        use rustls::pki_types::pem::PemObject as _;
        let chain = rustls::pki_types::CertificateDer::from_pem_file(&self.0).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_file(&self.1).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        Arc::new(
            config
                .with_no_client_auth()
                .with_single_cert(vec![chain], key)
                .unwrap(),
        )
    }
}

impl Server {
    pub(super) fn start(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, reply)
    }

    pub(super) fn start_with(
        tls: Option<&Tls>,
        reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let tls = tls.map(Tls::config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            over: Arc::default(),
        };
        let (asked, over) = (Arc::clone(&server.asked), Arc::clone(&server.over));
        let reply = Arc::new(reply);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (asked, reply, over) =
                    (Arc::clone(&asked), Arc::clone(&reply), Arc::clone(&over));
                let tls = tls.clone();
                std::thread::spawn(move || match tls {
                    None => serve(stream, &asked, &*reply, &over),
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config).unwrap();
                        let stream = rustls::StreamOwned::new(connection, stream);
                        serve(stream, &asked, &*reply, &over);
                    }
                });
            }
        });
        server
    }

    /// The files of a folder.
    pub(super) fn of(folder: PathBuf) -> Self {
        Self::start(move |asked| file(&folder, &asked.path))
    }

    /// `127.0.0.1:PORT`.
    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

pub(super) fn file(folder: &Path, path: &str) -> Reply {
    match std::fs::read(folder.join(path.trim_start_matches('/'))) {
        Ok(bytes) => Reply::ok(bytes),
        Err(_) => Reply::status(404),
    }
}

fn serve(
    stream: impl Read + Write,
    all: &Mutex<Vec<Asked>>,
    reply: &(impl Fn(&Asked) -> Reply + ?Sized),
    over: &AtomicBool,
) {
    let mut lines = BufReader::new(stream);
    loop {
        let Some(asked) = read(&mut lines) else {
            return;
        };
        all.lock().unwrap().push(asked.clone());
        let out = lines.get_mut();
        let went = match reply(&asked) {
            Reply::Whole(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str("\r\n");
                out.write_all(&[head.as_bytes(), &body].concat())
            }
            // Each ends when the other side has had enough.
            Reply::Endless => without_end(out, &[b'{'; 64 << 10], Duration::ZERO, over),
            Reply::Trickle => without_end(out, b" ", Duration::from_millis(100), over),
        };
        if went.is_err() {
            return;
        }
    }
}

fn without_end(
    out: &mut impl Write,
    chunk: &[u8],
    pause: Duration,
    over: &AtomicBool,
) -> std::io::Result<()> {
    out.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
    while !over.load(Ordering::Relaxed) {
        out.write_all(chunk)?;
        out.flush()?;
        std::thread::sleep(pause);
    }
    Err(std::io::ErrorKind::BrokenPipe.into())
}

fn read(lines: &mut BufReader<impl Read>) -> Option<Asked> {
    let mut first = String::new();
    lines.read_line(&mut first).ok().filter(|read| *read > 0)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut authorization, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).ok()?;
    Some(Asked {
        method,
        path,
        authorization,
    })
}
