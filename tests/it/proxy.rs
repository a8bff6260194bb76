//! A corporate network: every request goes through a proxy that intercepts TLS with certificates of a private
//! authority.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use copilot_lake_emulator::Scenario;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::harness::{World, text};

/// A proxy that presents its own certificate for every host and forwards the requests to the emulator.
struct Proxy {
    address: std::net::SocketAddr,
    ca: String,
    tunnels: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(world: &World) -> Self {
        let mut authority = CertificateParams::new(vec![]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let ca = issuer.pem();
        let emulator = world.emulator.url();
        let emulator = (emulator.host_str().unwrap().to_owned(), emulator.port().unwrap());
        let listener = world.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let tunnels = Arc::new(AtomicUsize::new(0));
        let (issuer, counter) = (Arc::new(issuer), Arc::clone(&tunnels));
        world.runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (issuer, counter, emulator) = (Arc::clone(&issuer), Arc::clone(&counter), emulator.clone());
                tokio::spawn(async move {
                    counter.fetch_add(1, Ordering::Relaxed);
                    // A client that breaks off ends its own tunnel only.
                    let _ = tunnel(stream, &issuer, emulator).await;
                });
            }
        });
        Self { address, ca, tunnels }
    }
}

async fn tunnel(
    mut client: TcpStream,
    issuer: &CertifiedIssuer<'static, KeyPair>,
    emulator: (String, u16),
) -> std::io::Result<()> {
    let head = head(&mut client).await?;
    let host = head.split([' ', ':']).nth(1).unwrap_or_default().to_owned();
    assert!(head.starts_with("CONNECT "), "not through a tunnel: {head}");
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![host.clone()]).unwrap().signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let mut client = TlsAcceptor::from(Arc::new(config)).accept(client).await?;

    let request = self::head(&mut client).await?;
    let length = request.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    client.read_exact(&mut body).await?;
    let mut server = TcpStream::connect(emulator).await?;
    // One request per connection, so that nothing of it has to be understood.
    let request = request.trim_end().replace("\r\nconnection: keep-alive", "");
    let request = format!("{request}\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n");
    server.write_all(request.as_bytes()).await?;
    server.write_all(&body).await?;
    tokio::io::copy(&mut server, &mut client).await?;
    client.shutdown().await
}

/// Reads up to and including the empty line.
async fn head(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(text(&head))
}

fn world() -> World {
    let mut world = World::new(Scenario::rows(300, 2));
    world.keys.insert("dataverse.page_size".to_owned(), 100.into());
    world.keys.insert("dataverse.url".to_owned(), "https://contoso.crm.dynamics.com".into());
    world.keys.insert("auth.authority".to_owned(), "https://login.microsoftonline.com".into());
    world
}

#[test]
fn everything_goes_through_the_proxy_and_trusts_its_authority() {
    let mut world = world();
    let proxy = Proxy::start(&world);
    std::fs::write(world.folder.path().join("corp.pem"), &proxy.ca).unwrap();
    world.keys.insert("network.proxy".to_owned(), format!("http://{}", proxy.address).into());
    world.keys.insert("network.ca_file".to_owned(), "corp.pem".into());
    world.extract(&[], 0);
    world.check_lake();
    world.check_complete();
    assert!(proxy.tunnels.load(Ordering::Relaxed) > 10);
}

#[test]
fn without_the_authority_the_message_says_so() {
    let mut world = world();
    let proxy = Proxy::start(&world);
    world.keys.insert("network.proxy".to_owned(), format!("http://{}", proxy.address).into());
    let output = world.run(&["extract"]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("certificate"), "{message}");
    assert!(message.contains("network.ca_file"), "{message}");
}

#[test]
fn what_time_does_not_mend_is_not_waited_out_where_a_lake_exists() {
    let mut world = world();
    let proxy = Proxy::start(&world);
    std::fs::write(world.folder.path().join("corp.pem"), &proxy.ca).unwrap();
    world.keys.insert("network.proxy".to_owned(), format!("http://{}", proxy.address).into());
    world.keys.insert("network.ca_file".to_owned(), "corp.pem".into());
    world.extract(&[], 0);
    let refused = |world: &World, code: i32, words: &str| {
        let begun = Instant::now();
        let output = world.run(&["extract"]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(words) && begun.elapsed() < Duration::from_secs(60), "{:?}: {told}", begun.elapsed());
    };
    world.keys.remove("network.ca_file");
    refused(&world, 1, "network.ca_file");
    // A wrong password that is sent again and again locks accounts.
    let (unauthorized, requests) = refusing(&world, 407);
    world.keys.insert("network.proxy".to_owned(), format!("http://mallory:hunter2@{unauthorized}").into());
    refused(&world, 2, "wants a user name and a password");
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

/// A proxy that answers every request with this status, and how many there were.
fn refusing(world: &World, status: u16) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = world.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    world.runtime.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            let _ = head(&mut stream).await;
            let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 7\r\nConnection: close\r\n\r\nhunter2");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, requests)
}

#[test]
fn a_proxys_refusal_names_the_proxy_and_the_setting_that_it_comes_from() {
    let mut world = world();
    let at = |address: &str| format!("http://mallory:hunter2@{address}");
    let [forbidden, unauthorized] = [403, 407].map(|status| refusing(&world, status).0.to_string());
    let closed = "127.0.0.1:1";
    for (address, code, words, hint) in [
        (forbidden.as_str(), 1, "does not connect to this host", "ask the proxy's administrators"),
        (unauthorized.as_str(), 2, "wants a user name and a password", "put the proxy's user name and password"),
        (closed, 1, "cannot be reached: connection refused", "check the proxy's name and port"),
        ("proxy.invalid:8080", 1, "cannot be reached: ", "check the proxy's name and port"),
    ] {
        // Where the first refusal is the last, everything is tried; elsewhere that would take long.
        let (settings, commands) = if code == 2 { (3, 3) } else { (1, 1) };
        let origins = [("", "network.proxy"), ("HTTPS_PROXY", "HTTPS_PROXY"), ("all_proxy", "all_proxy")];
        for (variable, setting) in &origins[..settings] {
            let proxy = if variable.is_empty() { at(address) } else { String::new() };
            world.keys.insert("network.proxy".to_owned(), proxy.into());
            for command in &["extract", "check", "plan"][..commands] {
                let mut command = world.command(&[*command]);
                if !variable.is_empty() {
                    command.env(variable, at(address));
                }
                let output = command.output().unwrap();
                let told = text(&output.stderr);
                assert_eq!(output.status.code(), Some(code), "{told}");
                let named = format!("error: the proxy http://{address} of `{setting}` {words}");
                assert!(told.contains(&named), "{named}: {told}");
                assert!(told.contains(&format!("\nhint: {hint}")) && !told.contains("service refuse"), "{told}");
                assert!(!told.contains("hunter2") && !told.contains("mallory"), "{told}");
            }
        }
    }
}
