//! The test server: HTTP/1.1 on a loopback port, a token endpoint, and whatever a test responds.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

/// A request as received.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// From 1, sign-ins not counted.
    pub(super) number: usize,
    pub(super) target: String,
    pub(super) body: String,
    head: Vec<String>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The fields of a form.
    pub(super) fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }

    /// `http://127.0.0.1:port`, as the client said it.
    pub(super) fn base(&self) -> String {
        format!("http://{}", self.header("host").unwrap())
    }

    fn is_sign_in(&self) -> bool {
        let path = self.target.split('?').next().unwrap_or_default();
        ["/oauth2/v2.0/token", "/metadata/identity/oauth2/token", "/msi/token"].iter().any(|end| path.ends_with(end))
    }
}

/// A response, and how it may be corrupted on the way.
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Send only that many bytes of the body that was declared, then close.
    cut: Option<usize>,
    /// Declare no length: the end of the body is the end of the connection.
    unframed: bool,
    pace: Pace,
}

/// How a body is sent.
#[derive(Clone, Copy)]
enum Pace {
    AtOnce,
    /// So many bytes, then nothing, with the connection open.
    Stall(usize),
    /// Byte by byte, with so much time in between.
    Drip(Duration),
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: None, unframed: false, pace: Pace::AtOnce }
    }

    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body)
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn cut(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    pub(super) fn unframed(mut self) -> Self {
        self.unframed = true;
        self
    }

    pub(super) fn stall(mut self, bytes: usize) -> Self {
        self.pace = Pace::Stall(bytes);
        self
    }

    pub(super) fn drip(mut self, every: Duration) -> Self {
        self.pace = Pace::Drip(every);
        self
    }

    async fn send(&self, stream: &mut TcpStream) -> std::io::Result<bool> {
        let mut head = format!("HTTP/1.1 {} X\r\n", self.status);
        if !self.unframed && self.status != 204 {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        stream.write_all(head.as_bytes()).await?;
        match self.pace {
            Pace::AtOnce => stream.write_all(&self.body[..self.cut.unwrap_or(self.body.len())]).await?,
            Pace::Stall(bytes) => {
                stream.write_all(&self.body[..bytes]).await?;
                std::future::pending::<()>().await;
            }
            Pace::Drip(every) => {
                let mut interval = tokio::time::interval(every);
                for byte in &self.body {
                    interval.tick().await;
                    stream.write_all(&[*byte]).await?;
                }
            }
        }
        Ok(self.cut.is_none() && !self.unframed)
    }
}

type Answering = dyn Fn(Request) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync;

struct Shared {
    response: Box<Answering>,
    tokens: Box<dyn Fn(usize) -> Reply + Send + Sync>,
    asked: Mutex<Vec<Request>>,
    signed_in: Mutex<Vec<Request>>,
    count: watch::Sender<usize>,
}

/// A running server; stops on drop.
pub(super) struct Server {
    pub(super) url: Url,
    shared: Arc<Shared>,
    _running: JoinSet<()>,
}

impl Server {
    /// Answers every request with what the function says; sign-ins get the tokens `token-1`, `token-2` and so on.
    pub(super) async fn start(response: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_async(move |request| std::future::ready(response(request))).await
    }

    pub(super) async fn start_async<F>(response: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let token = |n| Reply::ok(format!(r#"{{"access_token":"token-{n}","expires_in":3600,"token_type":"Bearer"}}"#));
        Self::start_with(response, token).await
    }

    /// The same with own answers to sign-ins, which are counted from 1.
    pub(super) async fn start_with<F>(
        response: impl Fn(Request) -> F + Send + Sync + 'static,
        tokens: impl Fn(usize) -> Reply + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let shared = Arc::new(Shared {
            response: Box::new(move |request| Box::pin(response(request))),
            tokens: Box::new(tokens),
            asked: Mutex::default(),
            signed_in: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let mut running = JoinSet::new();
        let accepting = Arc::clone(&shared);
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                // Head and body are written one after the other: neither is to wait for the other's acknowledgement.
                stream.set_nodelay(true).unwrap();
                connections.spawn(serve(stream, Arc::clone(&accepting)));
            }
        });
        Self { url, shared, _running: running }
    }

    /// The requests so far, without sign-ins.
    pub(super) fn asked(&self) -> Vec<Request> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(super) fn signed_in(&self) -> Vec<Request> {
        self.shared.signed_in.lock().unwrap().clone()
    }

    /// Waits until that many requests have come.
    pub(super) async fn until_asked(&self, count: usize) {
        self.shared.count.subscribe().wait_for(|seen| *seen >= count).await.unwrap();
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut stream = BufReader::new(stream);
    while let Some(mut request) = read(&mut stream).await {
        let reply = if request.is_sign_in() {
            let count = {
                let mut signed_in = shared.signed_in.lock().unwrap();
                signed_in.push(request);
                signed_in.len()
            };
            (shared.tokens)(count)
        } else {
            {
                let mut asked = shared.asked.lock().unwrap();
                request.number = asked.len() + 1;
                asked.push(request.clone());
            }
            shared.count.send_modify(|count| *count += 1);
            (shared.response)(request).await
        };
        if !matches!(reply.send(stream.get_mut()).await, Ok(true)) {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        head.push(line.to_owned());
    }
    let target = head.first()?.split(' ').nth(1)?.to_owned();
    let mut request = Request { number: 0, target, body: String::new(), head };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}
