use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore]
async fn perf() {
    let folder = std::path::Path::new("/tmp/wlake");
    let _ = std::fs::remove_dir_all(folder);
    let memory = std::fs::read_to_string("/tmp/wmem").unwrap().trim().parse::<usize>().unwrap() << 20;
    let lake = open(folder, LakeOptions { memory, ..LakeOptions::default() }).await;
    lake.prepare(&instance(), false).await.unwrap();
    let rows_per_week: usize = std::fs::read_to_string("/tmp/wrows").unwrap().trim().parse().unwrap();
    let weeks = 8usize;
    let start = std::time::Instant::now();
    use futures::StreamExt;
    let tasks = futures::stream::iter(0..weeks)
        .map(|w| {
            let lake = lake.clone();
            tokio::spawn(async move {
                let mut changes = lake.changes(&COPILOT_EVENT, Find::ByTime);
                let week = Week::of(week().start().plus_seconds(604_800 * w as i64));
                let mut n = 0usize;
                while n < rows_per_week {
                    let count = 5000.min(rows_per_week - n);
                    changes.push(Some(week), page(w, n, count, rows_per_week)).await.unwrap();
                    n += count;
                    if w == 99 {
                        println!("w{w} n {n}: {} rss {} MB", lake.inner.memory.debug(), rss() / 1024);
                    }
                }
                changes.commit("perf").await.unwrap()
            })
        })
        .buffer_unordered(4)
        .collect::<Vec<_>>()
        .await;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = stat.split(' ').collect();
    println!(
        "wall {:?} cpu {}+{} {}",
        start.elapsed(),
        f[13],
        f[14],
        status.lines().find(|l| l.starts_with("VmHWM")).unwrap()
    );
    for f in logged(&lake, &COPILOT_EVENT).await {
        let (_, m) = read(&folder.join(&f));
        println!("{:?}", m.row_groups().iter().map(|g| g.num_rows()).collect::<Vec<_>>());
    }
    for t in tasks {
        println!("{:?}", t.unwrap());
    }
}

fn page(w: usize, from: usize, count: usize, total: usize) -> RecordBatch {
    let mix = |n: usize, k: usize| -> u64 {
        (n as u64 ^ ((k as u64) << 40))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(31)
            .wrapping_mul(0xBF58_476D_1CE4_E5B9)
    };
    let guid = |n: usize, k: usize| {
        let a = mix(n, k);
        let b = mix(n, k + 1000);
        format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", a as u32, (a >> 32) as u16, (a >> 48) as u16, b as u16, b >> 16)
    };
    let base = week().start().plus_seconds(604_800 * w as i64);
    let rows = from..from + count;
    let id = |n: usize| n + w * total;
    let layout = COPILOT_EVENT.layout();
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    for (k, field) in layout.fields().iter().enumerate() {
        use arrow::datatypes::DataType;
        let name = field.name.as_str();
        let array: ArrayRef = match layout.schema().field(k).data_type() {
            _ if matches!(name, "msdyn_aiagent" | "msdyn_aiagent_label" | "owningteam" | "createdonbehalfby" | "modifiedonbehalfby" | "ttlinseconds" | "importsequencenumber" | "overriddencreatedon" | "msdyn_name" | "deleted_at" | "extra_json") => continue,
            DataType::Timestamp(_, _) => times(rows.clone().map(|n| base.plus_seconds((n as i64 * 604_000) / total as i64))),
            DataType::Int32 => Arc::new(arrow::array::Int32Array::from_iter_values(rows.clone().map(|n| (mix(n, k) % 20) as i32))),
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(rows.clone().map(|n| 1_000_000 + id(n) as i64))),
            DataType::Boolean => Arc::new(arrow::array::BooleanArray::from_iter(rows.clone().map(|n| Some(mix(n, k) % 3 == 0)))),
            DataType::Utf8 if matches!(name, "msdyn_verbatim") => Arc::new(StringArray::from_iter(rows.clone().map(|n| (mix(n, k) % 20 == 0).then(|| format!("good answer number {}", mix(n, 7) % 1000))))),
            DataType::Utf8 if name == "msdyn_interactioncontext" => Arc::new(StringArray::from_iter_values(rows.clone().map(|n| format!("{{\"ocSessionId\":\"{}\",\"responseStatusCode\":\"200\",\"isContentRedacted\":false,\"streamingState\":\"completed\",\"responseSourceCategory\":\"knowledge\",\"isAutoPrompt\":{},\"transcriptId\":\"{}\"}}", guid(id(n) / 4, k), mix(n, k) % 2 == 0, guid(id(n) / 8, k + 1))))),
            DataType::Utf8 if name == "partitionid" => Arc::new(StringArray::from_iter_values(rows.clone().map(|n| format!("20250622-20250628-{}", 100230200 + mix(n, 3) % 20)))),
            DataType::Utf8 if !field.dictionary => Arc::new(StringArray::from_iter_values(rows.clone().map(|n| guid(id(n), k)))),
            DataType::Utf8 if field.bloom => Arc::new(StringArray::from_iter_values(rows.clone().map(|n| guid((mix(n, k) % 500) as usize, k)))),
            DataType::Utf8 => Arc::new(StringArray::from_iter_values(rows.clone().map(|n| format!("label number {}", mix(n, k) % 12)))),
            _ => continue,
        };
        columns.push((name, array));
    }
    batch(&COPILOT_EVENT, &columns)
}

fn rss() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|l| l.starts_with("VmRSS")).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[ignore]
fn contexts() {
    use parquet::arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions};
    let batches: Vec<_> = (0..9).map(|n| page(0, n * 5000, 5000, 125_000)).collect();
    println!(
        "fields {} arrow bytes/row {} {}",
        COPILOT_EVENT.layout().fields().len(),
        batches[0].get_array_memory_size() / 5000,
        batches[0].columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap()).sum::<usize>() / 5000
    );
    let before = rss();
    let mut writers: Vec<_> = (0..4)
        .map(|_| {
            let properties = crate::properties::properties(&COPILOT_EVENT, COPILOT_EVENT.layout().schema(), 16_000);
            ArrowWriter::try_new_with_options(
                Vec::new(),
                COPILOT_EVENT.layout().schema().clone(),
                ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true),
            )
            .unwrap()
        })
        .collect();
    for (n, batch) in batches.iter().enumerate() {
        for writer in &mut writers {
            writer.write(batch).unwrap();
        }
        println!(
            "batch {n}: rss +{} kB, memory_size {} kB",
            rss() - before,
            writers.iter().map(|w| w.memory_size()).sum::<usize>() / 1024
        );
    }
    for writer in &mut writers {
        writer.flush().unwrap();
    }
    println!(
        "flushed: rss +{} kB, sinks {} kB",
        rss() - before,
        writers.iter().map(|w| w.inner().capacity()).sum::<usize>() / 1024
    );
}
