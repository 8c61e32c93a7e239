//! Parquet files of pictures: what is wrong with one is said, and nothing makes the reader panic.
#![cfg(feature = "hub")]

mod common;

use common::{cifar100, colour_picture, png, table};
use l0_data::hub::parquet::parse;
use l0_data::{DatasetName, Source, Split, load};
use proptest::prelude::*;
use std::path::Path;

type Row = (Option<Vec<u8>>, i64);

fn rows(n: i64) -> Vec<Row> {
    (0..n).map(|i| (Some(colour_picture(i as u8)), i)).collect()
}

fn read(bytes: Vec<u8>) -> Result<Split, String> {
    parse(bytes, DatasetName::Cifar100, Path::new("p.parquet")).map_err(|error| error.to_string())
}

fn refused(bytes: Vec<u8>, message: &str) {
    let error = read(bytes).unwrap_err();
    assert!(error.starts_with(&format!("p.parquet: expected {message}")), "{error}");
}

fn changed(at: usize, row: Row) -> Vec<u8> {
    let mut rows = rows(12);
    rows[at] = row;
    cifar100(&rows)
}

#[test]
fn what_is_wrong_is_said() {
    assert_eq!(read(cifar100(&rows(12))).unwrap().len(), 12);
    refused(cifar100(&[]), "pictures, found none");
    refused(b"PAR1 is not all".to_vec(), "a parquet file, found ");
    refused(changed(7, (None, 3)), "a picture in every row, found 1 without one among rows 4 to 8");
    let label = "labels below 100, found 100 in row 8";
    refused(changed(8, (Some(colour_picture(1)), 100)), label);
    refused(changed(8, (Some(colour_picture(1)), -1)), "labels below 100, found -1 in row 8");
    let wanted = "an 8-bit Rgb PNG of 32x32 in row 11, found";
    refused(changed(11, (Some(b"JFIF".to_vec()), 1)), &format!("{wanted} bytes that do not decode"));
    let grey = png(png::ColorType::Grayscale, 32, 32, &[0; 1024]);
    refused(changed(11, (Some(grey), 1)), &format!("{wanted} a 8-bit Grayscale one of 32x32"));
    let small = png(png::ColorType::Rgb, 31, 32, &[0; 31 * 32 * 3]);
    refused(changed(11, (Some(small), 1)), &format!("{wanted} a 8-bit Rgb one of 32x31"));
}

#[test]
fn rows_that_cost_nothing_do_not_fill_the_memory() {
    let rows = vec![(Some(colour_picture(0)), 0); 6000];
    refused(cifar100(&rows), "a picture in every row, found at least ");
}

#[test]
fn a_missing_column_is_named() {
    let schema = "message hub { optional group image { optional binary bytes; optional binary path; }
                  optional int64 label; }";
    let found = "found the columns image.bytes, image.path, label";
    refused(table(schema, &rows(3), 1), &format!("a column img.bytes of BYTE_ARRAY, {found}"));
    let schema = schema.replace("image", "img");
    let found = found.replace("image", "img");
    refused(table(&schema, &rows(3), 1), &format!("a column fine_label of INT64, {found}"));
}

#[test]
fn the_real_files_hold_the_same_images_in_every_format() {
    let (Some(hub), Some(idx)) = (common::shared("hub"), common::shared("mnist-idx")) else { return };
    let load = |name, dir: &Path| load(name, &Source::dir(dir), &l0_data::Silent).unwrap();
    let (a, b) = (load(DatasetName::Mnist, &hub), load(DatasetName::Mnist, &idx));
    assert_eq!((a.train.len(), a.test.len(), a.digest()), (60_000, 10_000, b.digest()));
    // The first test picture, red: its first row and its first column.
    let cifar = load(DatasetName::Cifar10, &hub);
    let red = &cifar.test.image(0)[..1024];
    assert_eq!(red[..4], [43, 49, 68, 65]);
    assert_eq!([red[0], red[32], red[64], red[96]], [43, 44, 46, 65]);
    assert_eq!((cifar.train.len(), cifar.test.len()), (50_000, 10_000));
    for class in 0..10 {
        assert_eq!(cifar.train.labels().iter().filter(|&&label| label == class).count(), 5000);
    }
    assert_eq!(load(DatasetName::Cifar100, &hub).train.classes(), 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn changed_files_are_read_or_refused(
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5), from_end: bool,
    ) {
        let mut bytes = cifar100(&rows(6));
        let length = bytes.len();
        for (at, byte) in noise {
            let at = if from_end { length - 1 - at.index(800) } else { at.index(length) };
            bytes[at] = byte;
        }
        if let Ok(split) = read(bytes) {
            prop_assert!(split.len() <= 6);
        }
    }

    #[test]
    fn cut_files_are_refused(length in 0usize..3000) {
        let bytes = cifar100(&rows(6));
        let length = length.min(bytes.len() - 1);
        prop_assert!(read(bytes[..length].to_vec()).is_err());
    }
}
