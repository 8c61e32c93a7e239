//! Parquet files of pictures: what is wrong with one is said, and nothing makes the reader panic.
#![cfg(feature = "hub")]

mod common;

use common::{cifar100, colour_picture, png, table};
use l0_data::hub::parquet::parse;
use l0_data::{Benchmark, Source, Split, load};
use proptest::prelude::*;
use std::path::Path;

type Row = (Option<Vec<u8>>, i64);

fn rows(n: i64) -> Vec<Row> {
    (0..n).map(|i| (Some(colour_picture(i as u8)), i)).collect()
}

fn read(bytes: Vec<u8>) -> Result<Split, String> {
    parse(bytes, Benchmark::Cifar100, Path::new("p.parquet")).map_err(|error| error.to_string())
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
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    refused(pointer.to_vec(), "a parquet file, found what Git LFS puts in its place (git lfs pull fetches it)");
    refused(changed(7, (None, 3)), "a picture in every row, found 1 without one among rows 4 to 8");
    let label = "labels below 100, found 100 in row 8 of fine_label";
    refused(changed(8, (Some(colour_picture(1)), 100)), label);
    refused(changed(8, (Some(colour_picture(1)), -1)), "labels below 100, found -1 in row 8");
    let wanted = "a colour picture of 32x32 and 8 bits in row 11 of img.bytes, found";
    refused(changed(11, (Some(b"JFIF".to_vec()), 1)), &format!("{wanted} no PNG, JPEG or WebP"));
    let clear = png(png::ColorType::Rgba, 32, 32, &[0; 4096]);
    refused(changed(11, (Some(clear), 1)), &format!("{wanted} one that is transparent in places"));
    let small = png(png::ColorType::Rgb, 31, 32, &[0; 31 * 32 * 3]);
    refused(changed(11, (Some(small), 1)), &format!("{wanted} a colour one of 32x31"));
}

#[test]
fn rows_that_cost_nothing_do_not_fill_the_memory() {
    let rows = vec![(Some(colour_picture(0)), 0); 6000];
    refused(cifar100(&rows), "a picture in every row, found at least ");
}

const MNIST: &str = "message hub { optional group image { optional binary bytes; optional binary path (STRING); }
                     optional int64 label; }";

#[test]
fn a_missing_column_is_named() {
    let found = "found the columns image.bytes, image.path, label";
    refused(table(MNIST, &rows(3), 1), &format!("a column img.bytes of BYTE_ARRAY, {found}"));
    let found = found.replace("image", "img");
    let schema = MNIST.replace("image", "img");
    refused(table(&schema, &rows(3), 1), &format!("a column fine_label of INT32 or INT64, {found}"));
}

#[test]
fn a_column_of_another_type_is_named_with_its_type() {
    let read = |schema: &str| parse(table(schema, &[], 1), Benchmark::Mnist, Path::new("p")).unwrap_err();
    let refused = |from: &str, to: &str, message: &str| {
        let error = read(&MNIST.replace(from, to)).to_string();
        assert!(error.starts_with(&format!("p: expected {message};")), "{error}");
    };
    let label = "a column label of INT32 or INT64, found label of";
    refused("int64 label", "double label", &format!("{label} DOUBLE"));
    refused("int64 label", "binary label (STRING)", &format!("{label} BYTE_ARRAY (UTF8)"));
    refused("int64 label", "int32 label (DATE)", &format!("{label} INT32 (DATE)"));
    let image = "a column image.bytes of BYTE_ARRAY, found image.bytes of";
    let path = "image.path of BYTE_ARRAY (UTF8)";
    refused("binary bytes", "int32 bytes", &format!("{image} INT32, {path}"));
    refused("optional binary bytes", "repeated binary bytes", &format!("{image} BYTE_ARRAY, repeated, {path}"));
}

#[test]
fn labels_are_integers_of_any_width() {
    for kind in ["int32 label", "int32 label (UINT_8)", "int32 label (INT_16)", "int64 label (UINT_64)"] {
        let schema = MNIST.replace("int64 label", kind).replace("image", "img").replace(" label", " fine_label");
        assert_eq!(read(table(&schema, &rows(7), 1)).unwrap().labels(), [0, 1, 2, 3, 4, 5, 6], "{kind}");
    }
}

#[test]
fn grey_pictures_are_read_however_they_are_stored_and_colours_refused() {
    let rows = |pixels: [u8; 3]| -> Vec<Row> { vec![(Some(png(png::ColorType::Rgb, 28, 28, &pixels.repeat(784))), 4)] };
    let read = |pixels| parse(table(MNIST, &rows(pixels), 1), Benchmark::Mnist, Path::new("p"));
    assert_eq!(read([7, 7, 7]).unwrap().images(), [7; 784]);
    let expected = "p: expected a grey picture of 28x28 and 8 bits in row 0 of image.bytes, found one in colour;";
    assert!(read([7, 7, 8]).unwrap_err().to_string().starts_with(expected));
}

#[test]
#[ignore = "reads the real data sets in the folder that L0_DATA names: those of the Hub in hub/, MNIST's IDX files in mnist-idx/"]
fn the_real_files_hold_the_same_images_in_every_format() {
    let [hub, idx] = ["hub", "mnist-idx"].map(|part| Path::new(&std::env::var("L0_DATA").unwrap()).join(part));
    let load = |name, dir: &Path| load(name, &Source::dir(dir), &l0_data::Silent).unwrap();
    let (a, b) = (load(Benchmark::Mnist, &hub), load(Benchmark::Mnist, &idx));
    assert_eq!((a.train.len(), a.test.len(), a.digest().unwrap()), (60_000, 10_000, b.digest().unwrap()));
    assert_eq!((a.caveat(), b.caveat()), (None, None));
    // The first test picture, red: its first row and its first column.
    let cifar = load(Benchmark::Cifar10, &hub);
    let red = &cifar.test.image(0)[..1024];
    assert_eq!(red[..4], [43, 49, 68, 65]);
    assert_eq!([red[0], red[32], red[64], red[96]], [43, 44, 46, 65]);
    assert_eq!((cifar.train.len(), cifar.test.len()), (50_000, 10_000));
    for class in 0..10 {
        assert_eq!(cifar.train.labels().iter().filter(|&&label| label == class).count(), 5000);
    }
    assert_eq!(cifar.caveat(), None);
    let sample = load(Benchmark::Cifar100, &hub);
    assert_eq!(sample.train.classes(), 100);
    assert!(sample.caveat().unwrap().starts_with("not CIFAR-100: 2000 training images in place of 50000"));
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
