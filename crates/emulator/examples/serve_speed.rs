//! How fast the emulator makes and serves rows: `cargo run --release --example serve_speed -- 1000000`.
//!
//! The client reads pages over raw sockets and looks at nothing but the link, so that the emulator is what is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Scenario, TENANT_ID};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let rows: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let begun = Instant::now();
    let emulator = runtime.block_on(Emulator::start(([127, 0, 0, 1], 0).into(), Scenario::rows(rows, 13)))?;
    let made = cpu_seconds();
    say(&format!("{rows} rows made in {:.2} s, {made:.2} s of CPU", begun.elapsed().as_secs_f64()));
    let address = emulator.url().socket_addrs(|| None)?[0];
    let token = token(address)?;
    let begun = Instant::now();
    let mut halves = Vec::new();
    for window in ["createdon%20lt%202025-09-22T00:00:00Z", "createdon%20ge%202025-09-22T00:00:00Z"] {
        let token = token.clone();
        halves.push(std::thread::spawn(move || pages(address, &token, window)));
    }
    let mut bytes = 0;
    for half in halves {
        bytes += half.join().map_err(|_| "a client failed")??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    say(&format!(
        "served in {seconds:.2} s, {:.2} s of CPU with the clients: {:.0} rows/s, {:.0} MB/s, {} bytes per row",
        cpu_seconds() - made,
        rows as f64 / seconds,
        bytes as f64 / seconds / 1e6,
        bytes / rows.max(1)
    ));
    let served = emulator.served();
    say(&format!("rows {} of {rows}, {:?}", served.rows, served.requests));
    runtime.block_on(emulator.stop());
    Ok(())
}

/// CPU time of this process until now; 0 where `/proc` does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    ticks.filter_map(|text| text.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn token(address: SocketAddr) -> Result<String, Failure> {
    let form = format!(
        "grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&scope=http://x/.default"
    );
    let mut stream = TcpStream::connect(address)?;
    let length = form.len();
    write!(
        stream,
        "POST /{TENANT_ID}/oauth2/v2.0/token HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n\r\n{form}"
    )?;
    let mut buffer = Vec::new();
    let (start, length) = exchange(&mut stream, &mut buffer)?;
    let body: serde_json::Value = serde_json::from_slice(&buffer[start..start + length])?;
    Ok(body["access_token"].as_str().ok_or("no token")?.to_owned())
}

fn pages(address: SocketAddr, token: &str, filter: &str) -> Result<usize, Failure> {
    let mut stream = TcpStream::connect(address)?;
    let mut path = format!("/api/data/v9.2/msdyn_copilotevents?$filter={filter}&$orderby=createdon%20asc");
    let (mut buffer, mut bytes) = (Vec::new(), 0);
    loop {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nprefer: odata.maxpagesize=5000\r\n\r\n"
        );
        // In one piece: fragments would wait for acknowledgements.
        stream.write_all(request.as_bytes())?;
        let (start, length) = exchange(&mut stream, &mut buffer)?;
        bytes += length;
        let body = &buffer[start..start + length];
        let tail = String::from_utf8_lossy(&body[length.saturating_sub(3_000)..]).into_owned();
        let Some((_, link)) = tail.split_once("\"@odata.nextLink\":\"") else { return Ok(bytes) };
        let at = link.find("/api/").ok_or("a strange link")?;
        path = link[at..].trim_end_matches("\"}").to_owned();
    }
}

/// Reads one response; where its body starts, and its length.
fn exchange(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(usize, usize), Failure> {
    let mut filled = 0;
    buffer.resize(buffer.len().max(1 << 20), 0);
    loop {
        filled += stream.read(&mut buffer[filled..])?;
        let Some(head) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
        let (_, after) = text.split_once("content-length: ").ok_or("no length")?;
        let length: usize = after.split("\r\n").next().unwrap_or_default().parse()?;
        let (start, end) = (head + 4, head + 4 + length);
        if buffer.len() < end {
            buffer.resize(end, 0);
        }
        stream.read_exact(&mut buffer[filled..end])?;
        return Ok((start, length));
    }
}
