//! A network between a program and a store: requests that are refused, slow, cut, answered with errors, or done without
//! an answer.

use std::collections::BTreeMap;
use std::io::{Error as IoError, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::harness::{Numbers, World, text};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StoreFault {
    /// The connection is closed at once.
    Refused,
    Slow,
    Status500,
    /// S3's answer to too many requests.
    SlowDown,
    /// The connection is closed in the middle of the request's body, which the store gets that far.
    RequestCut,
    /// The connection is closed in the middle of the answer.
    AnswerCut,
    /// The store does it, and the connection is closed instead of the answer.
    AnswerLost,
    /// It waits until it is let go, and reaches the store then, even if the program has given up.
    Held,
}

impl StoreFault {
    /// Those that pass by themselves.
    pub(crate) const TRANSIENT: [Self; 7] = [
        Self::Refused,
        Self::Slow,
        Self::Status500,
        Self::SlowDown,
        Self::RequestCut,
        Self::AnswerCut,
        Self::AnswerLost,
    ];
}

/// Which requests have a fault.
struct Rule {
    method: &'static str,
    /// Part of the path or the query.
    part: String,
    /// Matching requests that pass before.
    after: u64,
    times: u64,
    fault: StoreFault,
}

/// A proxy in front of a store, for plain HTTP.
#[derive(Clone)]
pub(crate) struct StoreProxy {
    /// `http://127.0.0.1:<port>`.
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// Host and port of the store.
    server: Mutex<String>,
    rules: Mutex<Vec<Rule>>,
    /// One request of so many has a fault, which the numbers choose.
    random: Mutex<Option<(u64, Numbers)>>,
    is_refusing: AtomicBool,
    requests: AtomicU64,
    faults: Mutex<BTreeMap<StoreFault, u64>>,
    /// Requests that are held.
    held: watch::Sender<u64>,
    /// Whether those that are held may go.
    let_go: watch::Sender<bool>,
}

impl StoreProxy {
    pub(crate) fn start(world: &World, server: &str) -> Self {
        let listener = world.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            server: Mutex::new(server.trim_start_matches("http://").to_owned()),
            rules: Mutex::default(),
            random: Mutex::default(),
            is_refusing: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            faults: Mutex::default(),
            held: watch::channel(0).0,
            let_go: watch::channel(false).0,
        });
        let proxy = Self { url, shared };
        let accepting = Arc::clone(&proxy.shared);
        world.runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                // A program that breaks off ends its own connection only.
                tokio::spawn(async move { drop(shared.forward(stream).await) });
            }
        });
        proxy
    }

    /// Adds a fault of requests with that method whose path or query contains `part`: `times` of them, `after` others.
    pub(crate) fn fail(&self, method: &'static str, part: &str, after: u64, times: u64, fault: StoreFault) {
        let part = part.to_owned();
        self.shared.rules.lock().unwrap().push(Rule { method, part, after, times, fault });
    }

    /// No more faults of chosen requests.
    pub(crate) fn mend(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// From now on, one request of `of` has a transient fault, chosen by a seed; `None`: no more.
    pub(crate) fn fail_at_random(&self, random: Option<(u64, u64)>) {
        *self.shared.random.lock().unwrap() = random.map(|(of, seed)| (of, Numbers(seed)));
    }

    /// Refuses everything, or no longer.
    pub(crate) fn refuse(&self, is_refusing: bool) {
        self.shared.is_refusing.store(is_refusing, Ordering::Relaxed);
    }

    /// Forwards to another server.
    #[cfg(unix)]
    pub(crate) fn forward_to(&self, server: &str) {
        *self.shared.server.lock().unwrap() = server.trim_start_matches("http://").to_owned();
    }

    /// Requests that came, refused ones included.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// How often each fault happened.
    pub(crate) fn faults(&self) -> BTreeMap<StoreFault, u64> {
        self.shared.faults.lock().unwrap().clone()
    }

    /// Whether a request is held.
    #[cfg(unix)]
    pub(crate) fn is_holding(&self) -> bool {
        *self.shared.held.borrow() > 0
    }

    /// Lets held requests go, and waits until the store has answered them.
    #[cfg(unix)]
    pub(crate) fn let_go(&self, world: &World) {
        self.shared.let_go.send_replace(true);
        world.runtime.block_on(self.shared.held.subscribe().wait_for(|held| *held == 0)).unwrap();
    }
}

/// A request with its body.
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Shared {
    fn fault_of(&self, head: &str) -> Option<StoreFault> {
        if self.is_refusing.load(Ordering::Relaxed) {
            return Some(StoreFault::Refused);
        }
        // Google's client encodes what is no letter and no digit.
        let line = head.lines().next().unwrap_or_default();
        let line = line.replace("%2F", "/").replace("%5F", "_").replace("%2E", ".");
        for rule in self.rules.lock().unwrap().iter_mut() {
            if line.starts_with(rule.method) && line.contains(&rule.part) {
                if rule.after > 0 {
                    rule.after -= 1;
                } else if rule.times > 0 {
                    rule.times -= 1;
                    return Some(rule.fault);
                }
            }
        }
        let mut random = self.random.lock().unwrap();
        let (of, numbers) = random.as_mut()?;
        let faults = StoreFault::TRANSIENT;
        (numbers.next(*of) == 0).then(|| faults[usize::try_from(numbers.next(faults.len() as u64)).unwrap()])
    }

    async fn forward(&self, mut client: TcpStream) -> std::io::Result<()> {
        let Request { head, body } = read(&mut client).await?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let fault = self.fault_of(&head);
        if let Some(fault) = fault {
            *self.faults.lock().unwrap().entry(fault).or_default() += 1;
        }
        let answer = match fault {
            Some(StoreFault::Refused) => return Ok(()),
            Some(StoreFault::Status500) => error("500 Internal Server Error", "InternalError"),
            Some(StoreFault::SlowDown) => error("503 Slow Down", "SlowDown"),
            Some(StoreFault::RequestCut) => {
                let mut server = self.send(&head, &body[..body.len() / 2]).await?;
                return server.shutdown().await;
            }
            Some(StoreFault::AnswerLost) => return self.answer(&head, &body).await.map(drop),
            Some(StoreFault::AnswerCut) => {
                let answer = self.answer(&head, &body).await?;
                answer[..answer.len() - answer.len().min(7)].to_vec()
            }
            Some(StoreFault::Slow) => {
                tokio::time::sleep(Duration::from_millis(700)).await;
                self.answer(&head, &body).await?
            }
            Some(StoreFault::Held) => {
                self.held.send_modify(|held| *held += 1);
                let mut let_go = self.let_go.subscribe();
                let_go.wait_for(|gone| *gone).await.map_err(IoError::other)?;
                let answer = self.answer(&head, &body).await;
                self.held.send_modify(|held| *held -= 1);
                answer?
            }
            None => self.answer(&head, &body).await?,
        };
        client.write_all(&answer).await?;
        client.shutdown().await
    }

    async fn send(&self, head: &str, body: &[u8]) -> std::io::Result<TcpStream> {
        let server = self.server.lock().unwrap().clone();
        let mut server = TcpStream::connect(server).await?;
        // One request per connection, so that nothing of it has to be understood.
        server.write_all(format!("{}\r\nConnection: close\r\n\r\n", head.trim_end()).as_bytes()).await?;
        server.write_all(body).await?;
        Ok(server)
    }

    async fn answer(&self, head: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut answer = Vec::new();
        self.send(head, body).await?.read_to_end(&mut answer).await?;
        if answer.is_empty() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
    }
}

async fn read(client: &mut TcpStream) -> std::io::Result<Request> {
    let (mut head, mut chunk) = (Vec::new(), vec![0; 1 << 16]);
    let end = loop {
        let count = client.read(&mut chunk).await?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&chunk[..count]);
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let mut body = head.split_off(end);
    let head = text(&head);
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let there = body.len();
    body.resize(length.unwrap_or(there), 0);
    client.read_exact(&mut body[there..]).await?;
    Ok(Request { head, body })
}

fn error(status: &str, code: &str) -> Vec<u8> {
    let body = format!("<Error><Code>{code}</Code></Error>");
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}
