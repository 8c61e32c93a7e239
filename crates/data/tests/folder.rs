//! Data sets in folders: where they are found, and what is said when they are not.

#[cfg(feature = "hub")]
mod common;

use flate2::{Compression, write::GzEncoder};
use l0_data::idx::Idx;
use l0_data::{Benchmark, Dataset, Silent, Source, Standing, load};
use std::fs;
use std::io::Write;
use std::path::Path;

fn idx(n: usize, labels: usize) -> [Vec<u8>; 2] {
    let images = Idx { dims: vec![n, 28, 28], data: (0..n * 784).map(|i| i as u8).collect() };
    let labels = Idx { dims: vec![labels], data: (0..labels).map(|i| (i % 10) as u8).collect() };
    [images.to_bytes(), labels.to_bytes()]
}

fn write_mnist(dir: &Path, suffix: &str, encode: impl Fn(Vec<u8>) -> Vec<u8>) {
    fs::create_dir_all(dir).unwrap();
    for (part, n) in [("train", 12), ("t10k", 5)] {
        let [images, labels] = idx(n, n);
        fs::write(dir.join(format!("{part}-images-idx3-ubyte{suffix}")), encode(images)).unwrap();
        fs::write(dir.join(format!("{part}-labels-idx1-ubyte{suffix}")), encode(labels)).unwrap();
    }
}

fn gzip(bytes: Vec<u8>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(&bytes).unwrap();
    encoder.finish().unwrap()
}

fn mnist(dir: &Path) -> Result<Dataset, String> {
    load(Benchmark::Mnist, &Source::dir(dir), &Silent).map_err(|error| error.to_string())
}

#[test]
fn idx_files_are_found_where_other_tools_put_them() {
    let plain = tempfile::tempdir().unwrap();
    write_mnist(plain.path(), "", |bytes| bytes);
    let expected = mnist(plain.path()).unwrap();
    assert_eq!((expected.train.len(), expected.test.len(), expected.files.len()), (12, 5, 4));
    assert_eq!(expected.train.image(1)[0], (784 % 256) as u8);
    for folder in ["MNIST/raw", "mnist-idx", ""] {
        let dir = tempfile::tempdir().unwrap();
        write_mnist(&dir.path().join(folder), ".gz", gzip);
        assert_eq!(mnist(dir.path()).unwrap().digest().unwrap(), expected.digest().unwrap());
    }
}

#[test]
fn cifar_binaries_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("cifar-10-batches-bin");
    fs::create_dir(&inner).unwrap();
    let record = |label: u8| [vec![label], vec![label * 2; 3072]].concat();
    for i in 1..=5 {
        fs::write(inner.join(format!("data_batch_{i}.bin")), record(i)).unwrap();
    }
    let read = |dir: &Path| load(Benchmark::Cifar10, &Source::dir(dir), &Silent);
    fs::write(inner.join("test_batch.bin"), [record(8), record(9)].concat()).unwrap();
    let data = read(dir.path()).unwrap();
    assert_eq!((data.train.labels(), data.test.labels()), (&[1, 2, 3, 4, 5][..], &[8, 9][..]));
    assert_eq!(data.train.image(4)[0], 10);
    assert_eq!(read(&inner).unwrap().digest().unwrap(), data.digest().unwrap());
    let compressed = tempfile::tempdir().unwrap();
    fs::write(compressed.path().join("data_batch_1.bin.gz"), gzip(record(1))).unwrap();
    let error = read(compressed.path()).unwrap_err().to_string();
    assert!(error.contains("does not hold cifar10: looked for data_batch_1.bin"), "{error}");
    fs::remove_file(inner.join("data_batch_3.bin")).unwrap();
    let error = read(dir.path()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read ") && error.contains("data_batch_3.bin"), "{error}");
}

/// What is said of a folder that holds nothing but this file.
fn said_of(name: Benchmark, file: &str, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    load(name, &Source::dir(dir.path()), &Silent).unwrap_err().to_string()
}

#[test]
fn forms_that_are_not_read_are_called_what_they_are() {
    use Benchmark::{Cifar10, Cifar100, Mnist};
    let (pickle, matlab, zip, tar) = (b"\x80\x02}q\x01", b"MATLAB 5.0 MAT-file", b"PK\x03\x04", gzip(b"tar".to_vec()));
    let binary = "unpack the binary version there, cifar-10";
    let idx = "put the four IDX files there";
    for (name, file, bytes, form, advice) in [
        (Cifar10, "cifar-10-batches-py/data_batch_1", &pickle[..], "a Python pickle", binary),
        (Cifar10, "test_batch", pickle, "a Python pickle", binary),
        (Cifar10, "cifar-10-batches-mat/data_batch_1.mat", matlab, "a MATLAB file", binary),
        (Cifar10, "cifar-10-python.tar.gz", &tar, "compressed by gzip", binary),
        (Cifar10, "data_batch_1.bin.gz", &tar, "compressed by gzip", binary),
        (Cifar100, "cifar-100-python/meta", pickle, "a Python pickle", binary),
        (Cifar100, "train", pickle, "a Python pickle", binary),
        (Cifar100, "test.mat", matlab, "a MATLAB file", binary),
        (Cifar100, "cifar-100-binary.tar.gz", &tar, "compressed by gzip", binary),
        (Mnist, "mnist.npz", zip, "a zip archive", idx),
        (Mnist, "MNIST/training.pt", pickle, "a Python pickle", idx),
        (Mnist, "mnist_train.csv", b"5,0,0", "a table as text", idx),
    ] {
        let error = said_of(name, file, bytes);
        assert!(error.contains(&format!("does not hold {name}: looked for ")), "{error}");
        assert!(error.contains(&format!(", found {file}, which is {form}; {advice}")), "{error}");
    }
    // Nothing is made of files of other data sets, or of what is read.
    for (name, file, bytes) in [
        (Cifar10, "cifar-100-python/train", &pickle[..]),
        (Cifar10, "photos.zip", zip),
        (Mnist, "MNIST/raw/other-idx3-ubyte.gz", &tar),
    ] {
        let error = said_of(name, file, bytes);
        assert!(error.contains("0000.parquet, found ") && !error.contains("which is"), "{error}");
    }
}

fn refused(dir: &Path, message: &str) {
    let error = mnist(dir).unwrap_err();
    assert!(error.contains(message), "{error}");
}

#[test]
fn what_is_wrong_with_a_folder_is_said() {
    let dir = tempfile::tempdir().unwrap();
    refused(&dir.path().join("nowhere"), "cannot read the folder");
    refused(dir.path(), "does not hold mnist: looked for train-images-idx3-ubyte");
    refused(dir.path(), "0000.parquet, found nothing in it; name the folder");
    ["d", "b", "a", "c"].iter().for_each(|name| fs::write(dir.path().join(name), "").unwrap());
    refused(dir.path(), "0000.parquet, found a, b, c and 1 more; name the folder");
    write_mnist(dir.path(), "", |bytes| bytes);
    let labels = dir.path().join("t10k-labels-idx1-ubyte");
    fs::write(&labels, &idx(5, 4)[1]).unwrap();
    refused(dir.path(), "t10k-labels-idx1-ubyte: expected 5 labels for the images in");
    let wrong = Idx { dims: vec![5], data: vec![0, 1, 10, 3, 4] };
    fs::write(&labels, wrong.to_bytes()).unwrap();
    refused(dir.path(), "t10k-labels-idx1-ubyte: expected labels below 10, found 10 at position 2");
    fs::remove_file(&labels).unwrap();
    refused(dir.path(), "t10k-labels-idx1-ubyte: No such file");
    let small = Idx { dims: vec![5, 27, 28], data: vec![0; 5 * 27 * 28] };
    fs::write(dir.path().join("t10k-images-idx3-ubyte"), small.to_bytes()).unwrap();
    fs::write(&labels, &idx(5, 5)[1]).unwrap();
    refused(dir.path(), "expected images of 28x28, found images of 27x28");
    let [images, none] = idx(0, 0);
    fs::write(dir.path().join("t10k-images-idx3-ubyte"), images).unwrap();
    fs::write(&labels, none).unwrap();
    refused(dir.path(), "expected images with pixels, found 0 images of 28x28");
}

#[cfg(not(feature = "hub"))]
#[test]
fn parquet_files_need_the_hub() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("mnist/train")).unwrap();
    fs::write(dir.path().join("mnist/train/0000.parquet"), b"PAR1").unwrap();
    refused(dir.path(), "0000.parquet needs the feature `hub` of l0-data");
}

#[cfg(feature = "hub")]
mod parquet {
    use super::*;

    /// A parquet file of CIFAR-100 with one picture of each of these classes.
    fn shard(labels: &[i64]) -> Vec<u8> {
        let rows: Vec<_> = labels.iter().map(|&label| (Some(common::colour_picture(label as u8)), label)).collect();
        common::cifar100(&rows)
    }

    fn write(dir: &Path, files: &[(&str, &[i64])]) {
        for (name, labels) in files {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, shard(labels)).unwrap();
        }
    }

    fn cifar100(files: &[(&str, &[i64])]) -> Result<Dataset, String> {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), files);
        let data = load(Benchmark::Cifar100, &Source::dir(dir.path()), &Silent);
        data.map_err(|error| error.to_string().replace(&dir.path().display().to_string(), "DIR"))
    }

    fn read(files: &[(&str, &[i64])]) {
        let data = cifar100(files).unwrap();
        assert_eq!((data.train.labels(), data.test.labels()), (&[1, 2, 3, 4][..], &[5, 6][..]), "{files:?}");
        assert_eq!(data.train.image(2)[2048], 3);
        assert_eq!(data.files.len(), files.len());
    }

    fn refused(files: &[(&str, &[i64])], message: &str) {
        let error = cifar100(files).unwrap_err();
        assert!(error.contains(message), "expected {message:?} in {error:?}");
    }

    #[test]
    fn all_shards_are_read_in_the_order_of_their_names() {
        let test: (&str, &[i64]) = ("test/0000.parquet", &[5, 6]);
        read(&[("train/0001.parquet", &[3, 4]), ("train/0000.parquet", &[1, 2]), test]);
        read(&[
            ("uoft-cs/cifar100/cifar100/train/0000.parquet", &[1]),
            ("uoft-cs/cifar100/cifar100/train/0001.parquet", &[2, 3]),
            ("uoft-cs/cifar100/cifar100/train/0002.parquet", &[4]),
            ("uoft-cs/cifar100/cifar100/test/0000.parquet", &[5, 6]),
        ]);
        refused(&[("train/0000.parquet", &[1]), ("train/0002.parquet", &[2]), test], "train: no 0001.parquet beside");
        refused(&[("train/0001.parquet", &[1]), test], "no 0000.parquet beside the other shards");
        let stranger = "train: more.parquet among the shards 0000.parquet, 0001.parquet and so on";
        refused(&[("train/0000.parquet", &[1]), ("train/more.parquet", &[2]), test], stranger);
        refused(&[("train/0000.parquet", &[1])], "does not hold cifar100");
    }

    #[test]
    fn files_are_found_under_the_names_of_a_clone() {
        let test: (&str, &[i64]) = ("cifar100/test-00000-of-00001.parquet", &[5, 6]);
        read(&[
            ("cifar100/train-00001-of-00002.parquet", &[3, 4]),
            ("cifar100/train-00000-of-00002.parquet", &[1, 2]),
            test,
        ]);
        let old = ("data/test-00000-of-00001-9b1f0a3c5d7e2468.parquet", &[5, 6][..]);
        read(&[("data/train-00000-of-00001-b42cd0b8bb3e1e1d.parquet", &[1, 2, 3, 4]), old]);
        read(&[("train-00000-of-00001.parquet", &[1, 2, 3, 4]), ("test-00000-of-00001.parquet", &[5, 6])]);
        let missing = "no train-00001-of-00002.parquet beside the other shards";
        refused(&[("cifar100/train-00000-of-00002.parquet", &[1]), test], missing);
        let first = ("cifar100/train-00000-of-00001.parquet", &[1][..]);
        refused(&[first, ("cifar100/train-00000-of-00002.parquet", &[2]), test], "shards of two sets of train images");
        refused(
            &[first, ("cifar100/train-00000-of-00001-ab.parquet", &[2]), test],
            "2 files where their names speak of 1",
        );
        refused(&[("train-00000-of-00000.parquet", &[1])], "1 files where their names speak of 0");
    }

    #[test]
    fn of_several_configurations_that_of_the_data_set_is_read_and_none_is_guessed() {
        let (train, test) = (("cifar100/train-00000-of-00001.parquet", &[1, 2, 3, 4][..]), &[5, 6][..]);
        let files = [train, ("cifar100/test-00000-of-00001.parquet", test)];
        let other = [("coarse/train-00000-of-00001.parquet", &[9][..]), ("coarse/test-00000-of-00001.parquet", &[9])];
        let data = cifar100(&[files, other].concat()).unwrap();
        assert_eq!((data.train.labels(), data.files.len()), (&[1, 2, 3, 4][..], 2));
        let more = [("small/train/0000.parquet", &[9][..]), ("small/test/0000.parquet", &[9])];
        refused(&[other, more].concat(), "cifar100/train/0000.parquet, found parquet files in coarse, small; name the");
        let twice = [("train/0000.parquet", &[9][..]), ("test/0000.parquet", &[9])];
        refused(&[files, twice].concat(), "DIR: parquet files of cifar100 in DIR/cifar100 and in DIR; name the folder");
        let same = [("cifar100/train/0000.parquet", &[9][..]), ("cifar100/test/0000.parquet", &[9])];
        refused(&[files, same].concat(), "DIR/cifar100: two sets of parquet files; move one of them away");
    }
}

/// Drawn digits under MNIST's names pass for nothing.
#[test]
fn data_that_is_not_the_benchmark_says_so() {
    let dir = tempfile::tempdir().unwrap();
    write_mnist(dir.path(), "", |bytes| bytes);
    let data = mnist(dir.path()).unwrap();
    let expected = "not MNIST: 12 training images in place of 60000, 5 test images in place of 10000";
    assert_eq!(data.caveat().as_deref(), Some(expected));
    assert_eq!(load(Benchmark::Digits, &Source::default(), &Silent).unwrap().caveat(), None);
}

#[test]
#[ignore = "reads the real MNIST in the folder that L0_DATA names"]
fn the_real_files_are_read() {
    let data = mnist(Path::new(&std::env::var("L0_DATA").unwrap())).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (60_000, 10_000));
    assert_eq!(data.train.labels()[..5], [5, 0, 4, 1, 9]);
    assert_eq!(data.standing, Standing::Itself);
}
