//! Data sets of the Hub that nobody wrote into the code, served on the loopback interface.
#![cfg(feature = "hub")]

mod common;

use common::server::Server;
use common::{described, png, table};
use l0_data::{DataRecord, DataSpec, Dataset, Options, Silent, Source, load};
use l0_files::sha256;
use std::path::Path;
use tempfile::TempDir;

const SCHEMA: &str = "message hub { optional group photo { optional binary bytes; optional binary path (STRING); }
                      optional int64 insect; }";
const FEATURES: &str = r#"{"info": {"features": {"photo": {"_type": "Image"},
                          "insect": {"names": ["ants", "bees"], "_type": "ClassLabel"}}}}"#;

type Row = (Option<Vec<u8>>, i64);

fn rows(n: u8) -> Vec<Row> {
    let picture = |i: u8| png(png::ColorType::Rgb, 8, 6, &[i; 8 * 6 * 3]);
    (0..n).map(|i| (Some(picture(i)), i64::from(i % 2))).collect()
}

/// The server, the cache and where they are.
fn serve(files: &[(&str, Vec<u8>)]) -> (Server, TempDir, Source) {
    let named: Vec<(String, String, &Vec<u8>)> =
        files.iter().map(|(name, bytes)| (format!("someone/insects/{name}"), sha256(bytes), bytes)).collect();
    let files: Vec<(&str, &str, &[u8])> =
        named.iter().map(|(name, sha256, bytes)| (&**name, &**sha256, &bytes[..])).collect();
    let server = Server::start(&files);
    let cache = tempfile::tempdir().unwrap();
    let (endpoint, cache_dir) = (Some(server.endpoint.clone()), Some(cache.path().to_path_buf()));
    (server, cache, Source { endpoint, cache: cache_dir, ..Source::default() })
}

fn insects(source: &Source, options: Options) -> Result<Dataset, String> {
    let spec: DataSpec = "hub:someone/insects".parse().unwrap();
    load(DataSpec { options, ..spec }, source, &Silent).map_err(|error| error.to_string())
}

#[test]
fn columns_and_class_names_are_found_from_the_schema_and_offline_from_the_cache() {
    let described = |n| described(SCHEMA, &rows(n), 1, Some(FEATURES));
    let files = [
        ("default/train/0000.parquet", described(6)),
        ("default/train/0001.parquet", described(4)),
        ("default/validation/0000.parquet", described(4)),
    ];
    let (_server, _cache, source) = serve(&files);
    let data = insects(&source, Options::default()).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.train.shape(), data.files.len()), (10, 4, (3, 6, 8), 3));
    assert_eq!(
        (data.name.as_str(), data.train.class_names()),
        ("someone--insects", &["ants".to_string(), "bees".into()][..])
    );
    assert_eq!((data.train.labels()[3], data.train.image(3)[0]), (1, 3));
    let again = insects(&Source { offline: true, endpoint: None, ..source.clone() }, Options::default()).unwrap();
    assert_eq!(again.digest().unwrap(), data.digest().unwrap());
    let record = DataRecord::of(data.source.as_ref().unwrap(), &data).unwrap();
    assert_eq!((record.class_name(1), record.source.to_string()), ("bees".into(), "hub:someone/insects".into()));
    let small = insects(&source, Options { size: Some(4), channels: Some(1), ..Options::default() }).unwrap();
    assert_eq!(small.train.shape(), (1, 4, 4));
    // Too large to be held: decoded from what the file has.
    let with_memory = |memory| insects(&Source { memory, ..source.clone() }, Options::default());
    let stored = with_memory(1500).unwrap();
    assert!(!stored.train.is_held() && stored.digest().unwrap() == data.digest().unwrap());
    assert!(with_memory(100).unwrap_err().contains("pictures that do not fit in memory; learn from a smaller split"));
}

#[test]
fn without_a_split_to_test_on_a_share_is_held_out() {
    let (_server, _cache, source) = serve(&[("a/train/0000.parquet", table(SCHEMA, &rows(20), 1))]);
    let options = || Options { label: Some("insect".into()), ..Options::default() };
    let data = insects(&source, options()).unwrap();
    assert_eq!(
        (data.train.len(), data.test.len(), data.train.class_names()),
        (16, 4, &["0".to_string(), "1".into()][..])
    );
    assert_eq!(data.choices, ["4 of 20 examples held out to test on: the data has none for that"]);
    let error = insects(&source, Options::default()).unwrap_err();
    assert!(error.contains("no column of classes among photo.bytes, photo.path, insect; name the column"), "{error}");
    let error = insects(&source, Options { image: Some("img".into()), ..options() }).unwrap_err();
    assert!(error.contains("no column \"img\" of pictures among photo.bytes"), "{error}");
    let error = insects(&source, Options { config: Some("b".into()), ..options() }).unwrap_err();
    assert!(error.contains("has no configuration \"b\", but a"), "{error}");
}

#[test]
fn what_the_hub_has_not_is_said() {
    let (_server, _cache, source) = serve(&[("README.md", vec![1])]);
    assert!(insects(&source, Options::default()).unwrap_err().contains("has no parquet files"));
    let spec: DataSpec = "hub:nobody/nothing".parse().unwrap();
    let error = load(spec, &source, &Silent).unwrap_err().to_string();
    assert!(
        error.contains("nobody/nothing") && error.contains("it knows no such data set, or has not converted it"),
        "{error}"
    );
    let unlabelled = described(
        SCHEMA,
        &rows(4).into_iter().map(|(picture, _)| (picture, -1)).collect::<Vec<Row>>(),
        1,
        Some(FEATURES),
    );
    let known = described(SCHEMA, &rows(4), 1, Some(FEATURES));
    let (_server, _cache, source) = serve(&[("a/train/0000.parquet", known), ("a/test/0000.parquet", unlabelled)]);
    let error = insects(&source, Options::default()).unwrap_err();
    assert!(error.contains("a label of -1, where there are 2 classes; choose another split"), "{error}");
}

#[test]
fn a_parquet_file_of_pictures_or_of_numbers_is_read_where_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("insects.parquet");
    let read = |path: &Path| load(path.to_str().unwrap().parse::<DataSpec>().unwrap(), &Source::default(), &Silent);
    std::fs::write(&path, described(SCHEMA, &rows(10), 1, Some(FEATURES))).unwrap();
    let data = read(&path).unwrap();
    assert_eq!((data.train.len(), data.test.len(), &data.train.class_names()[1]), (8, 2, &"bees".to_string()));
    assert_eq!(data.choices, ["2 of 10 examples held out to test on: the data has none for that"]);
    // No picture decodes: said, and nothing loaded.
    let broken: Vec<Row> = (0..4).map(|i| (Some(b"text".to_vec()), i % 2)).collect();
    std::fs::write(&path, described(SCHEMA, &broken, 1, Some(FEATURES))).unwrap();
    assert!(read(&path).unwrap_err().to_string().contains("holds no picture that can be read"));
    std::fs::write(&path, numbers(50)).unwrap();
    let data = read(&path).unwrap();
    assert_eq!((data.train.dims(), data.train.classes(), data.columns), (vec![1], 2, vec!["a".to_string()]));
}

/// A table of two columns of whole numbers, the second a class.
fn numbers(n: i64) -> Vec<u8> {
    use parquet::data_type::Int64Type;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    let schema = parse_message_type("message table { required int64 a; required int64 label; }").unwrap();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema.into(), Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for values in [(0..n).collect::<Vec<i64>>(), (0..n).map(|i| i % 2).collect()] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}
