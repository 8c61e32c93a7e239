//! Files as nobody should write them: an error or a run, never a panic.

use std::fs;

use l0_record::{RunFolder, RunHeader, read_run};
use proptest::collection::vec;
use proptest::prelude::*;

/// A folder with a good run, of which one file is then replaced.
fn read_with(file: &str, bytes: &[u8]) -> Result<(), String> {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("run");
    drop(RunFolder::create(&path, &RunHeader::new("mlp", 1, serde_json::Value::Null)).unwrap());
    fs::write(path.join(file), bytes).unwrap();
    read_run(&path).map(|_| ()).map_err(|error| error.to_string())
}

/// The bytes of a good row with some of them changed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let row = br#"{"epoch":1,"step":600,"seconds":4.2,"learning_rate":0.001,"train_loss":0.3,"penalty":0.1,"train_error_percent":9.1,"expected_macs":1e6,"open":{"fc1":219},"gates":{"fc1":[1,0,3]}}
"#;
    vec((0..row.len(), any::<u8>()), 0..6).prop_map(move |changes| {
        let mut bytes = row.to_vec();
        changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
        bytes
    })
}

/// Rows whose numbers are any that JSON can hold.
fn extreme() -> impl Strategy<Value = Vec<u8>> {
    let number =
        prop_oneof![any::<f64>().prop_filter("JSON has no such number", |x| x.is_finite()), Just(0.0), Just(1e308)];
    vec((number.clone(), number, any::<u64>()), 1..6).prop_map(|rows| {
        let line = |(epoch, (a, b, n)): (usize, (f64, f64, u64))| {
            format!(
                r#"{{"epoch":{},"step":{n},"seconds":{a:?},"learning_rate":{b:?},"train_loss":"NaN","penalty":{a:?},"train_error_percent":{b:?},"test_error_percent":{a:?},"expected_macs":{b:?},"step_ms":{a:?},"open":{{"fc1":{n}}},"multipliers":{{"m":{b:?}}},"gates":{{"fc1":[{n},0,{n}]}}}}
"#,
                epoch + 1
            )
        };
        rows.into_iter().enumerate().map(line).collect::<String>().into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_metrics(bytes in vec(any::<u8>(), 0..300)) {
        let _ = read_with("metrics.jsonl", &bytes);
    }

    #[test]
    fn damaged_rows(bytes in damaged()) {
        if let Err(message) = read_with("metrics.jsonl", &bytes) {
            prop_assert!(message.contains("metrics.jsonl, line "), "{}", message);
        }
    }

    #[test]
    fn extreme_numbers(bytes in extreme()) {
        prop_assert_eq!(read_with("metrics.jsonl", &bytes), Ok(()));
    }

    #[test]
    fn any_bytes_as_header(bytes in vec(any::<u8>(), 0..300)) {
        let message = read_with("run.json", &bytes).unwrap_err();
        prop_assert!(message.contains("run.json"), "{}", message);
    }

    #[test]
    fn any_bytes_as_gates(bytes in vec(any::<u8>(), 0..300)) {
        let _ = read_with("gates.json", &bytes);
    }
}

#[test]
fn a_deep_file_is_an_error() {
    let deep = "[".repeat(100_000);
    assert!(read_with("run.json", deep.as_bytes()).is_err());
    assert!(read_with("metrics.jsonl", format!("{deep}\n").as_bytes()).is_err());
    assert!(read_with("gates.json", deep.as_bytes()).is_err());
}
