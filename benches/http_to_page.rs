//! How fast does the extractor get pages from a socket? The emulator, whose pages are rendered in advance, serves them in this
//! process. The limit is a plain loopback connection that delivers the same bytes into a buffer that is reused.
//!
//! On one core of a Xeon (Skylake, 2.5 GHz, 2026-11-21): copying into a fresh buffer of 7 MB, page faults included, 5,231
//! MB/s; into memory that is there, 4,563 MB/s, and within the L2 cache 32,400 MB/s; validating UTF-8 (simdutf8) 9,786 MB/s.
//! What buffers cost that are given back to the system at once, and later, is in `results/2026-11-29-two-cores.md`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use copilot_lake_emulator::Scenario;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use futures::TryStreamExt as _;

const ROWS: usize = 20_000;

fn main() {
    divan::main();
}

#[divan::bench(name = "http_to_page/msdyn_copilotevent/20k", sample_count = 20, sample_size = 1)]
fn http_to_page(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let emulator = runtime.block_on(benches::emulator(Scenario::rows(ROWS, 4)));
    let service = runtime.block_on(async { benches::dataverse(&emulator) });
    // Each page is dropped before the next one is awaited.
    let read = || {
        let pages = benches::event_pages(&service);
        let bytes = pages.try_fold(0, |bytes, page| async move { Ok(bytes + page.body.len()) });
        runtime.block_on(bytes).expect("every page")
    };
    bencher.counter(BytesCount::new(read())).counter(ItemsCount::new(ROWS)).bench_local(read);
    runtime.block_on(emulator.stop());
}

#[divan::bench(name = "loopback/msdyn_copilotevent/20k", sample_count = 20, sample_size = 1)]
fn loopback(bencher: Bencher<'_, '_>) {
    let bodies: Vec<Vec<u8>> = benches::pages(ROWS).iter().map(|page| page.body.to_vec()).collect();
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    // Serves until the process ends.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            for body in &bodies {
                stream.write_all(body).expect("a reader");
            }
        }
    });
    let mut received = Vec::new();
    bencher.counter(BytesCount::new(bytes)).counter(ItemsCount::new(ROWS)).bench_local(|| {
        received.clear();
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.read_to_end(&mut received).expect("every byte");
        assert_eq!(black_box(&received).len(), bytes);
    });
}
