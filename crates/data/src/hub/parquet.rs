//! The Hub's parquet files of pictures: a column of PNG files and one of labels, decoded in parallel.

use super::columns::{self, Column};
use super::pages;
use crate::picture;
use crate::repo::Repo;
use crate::{Benchmark, Error, Result, SourceFile, Split, digest};
use parquet::basic::Type;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, FileReader, RowGroupReader, SerializedFileReader};
use rayon::prelude::*;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Pictures in memory as PNG at a time.
const ROWS: usize = 4096;
/// Pixels that a byte of a file may stand for (of MNIST, 3.3), and what a small file may come to regardless.
const LARGEST_RATIO: u64 = 64;
const SMALL: u64 = 16 << 20;
/// How a file begins that Git LFS puts in the place of one that it has not fetched.
const POINTER: &[u8] = b"version https://git-lfs";

/// Reads a file after checking its digest, if one is expected.
pub(crate) fn read(path: &Path, repo: &Repo, expected: Option<&str>) -> Result<(Split, SourceFile)> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let sha256 = digest::of_open_file(&file, path)?;
    if let Some(expected) = expected.filter(|&expected| expected != sha256) {
        let advice = "the file has changed while it was in use; try again".into();
        let (path, expected) = (path.to_path_buf(), expected.to_string());
        return Err(Error::Checksum { path, expected, found: sha256, advice });
    }
    let pages = file.try_clone().map_err(Error::io("read", path))?;
    let split = guarded(file, &pages, repo, path)?;
    Ok((split, SourceFile { path: path.to_path_buf(), sha256 }))
}

/// The images of the bytes of a parquet file of this data set. `path` is for messages only.
///
/// # Errors
/// If the bytes are not parquet, a column is missing, a picture is not a PNG of the right size and kind, or a label is
/// out of range; and for a data set that has no such files.
pub fn parse(bytes: Vec<u8>, name: Benchmark, path: &Path) -> Result<Split> {
    let Some(repo) = Repo::of(name) else {
        return Err(Error::Argument(format!("{name} does not come as parquet")));
    };
    let bytes = bytes::Bytes::from(bytes);
    guarded(bytes.clone(), &bytes, &repo, path)
}

/// The crate `parquet` panics on some malformed files instead of returning its error.
fn guarded<R: ChunkReader + 'static>(from: R, pages: &R, repo: &Repo, path: &Path) -> Result<Split> {
    let length = from.len();
    let table = Table { repo, path, length };
    let read = AssertUnwindSafe(|| table.read(from, pages));
    catch_unwind(read).unwrap_or_else(|_| Err(table.wrong("a parquet file", "a malformed one")))
}

struct Table<'a> {
    repo: &'a Repo,
    path: &'a Path,
    length: u64,
}

impl Table<'_> {
    fn read<R: ChunkReader + 'static>(&self, from: R, pages: &R) -> Result<Split> {
        let reader = SerializedFileReader::new(from).map_err(|error| self.no_parquet(error, pages))?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let wrong = |(expected, found): (String, String)| self.wrong(&expected, &found);
        let pictures = columns::pictures(&schema, self.repo).map_err(wrong)?;
        let targets = columns::labels(&schema, self.repo).map_err(wrong)?;
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for i in 0..reader.num_row_groups() {
            let group = reader.get_row_group(i).map_err(|error| self.unreadable(error))?;
            self.check_pages(pages, group.metadata(), &[pictures.index, targets.index])?;
            self.read_labels(&*group, &targets, &mut labels)?;
            self.read_images(&*group, &pictures, &mut images)?;
            let (n, size) = (labels.len(), self.image_size());
            if images.len() != n * size {
                let found = format!("{} pictures and {n} labels", images.len() / size);
                return Err(self.wrong("as many labels as pictures", &found));
            }
        }
        if labels.is_empty() {
            return Err(self.wrong("pictures", "none"));
        }
        let (shape, classes) = (self.repo.name.shape(), self.repo.name.classes());
        Split::new(images, labels, shape, classes)
    }

    fn check_pages(&self, from: &impl ChunkReader, group: &RowGroupMetaData, columns: &[usize]) -> Result<()> {
        pages::check_columns(from, self.length, group, columns)
            .map_err(|(expected, found)| self.wrong(expected, &found))
    }

    fn read_labels(&self, group: &dyn RowGroupReader, column: &Column, labels: &mut Vec<u32>) -> Result<()> {
        match column.kind {
            Type::INT32 => self.read_integers::<Int32Type>(group, column, labels),
            _ => self.read_integers::<Int64Type>(group, column, labels),
        }
    }

    fn read_integers<T>(&self, group: &dyn RowGroupReader, column: &Column, labels: &mut Vec<u32>) -> Result<()>
    where
        T: DataType,
        T::T: Into<i64>,
    {
        let reader = group.get_column_reader(column.index).map_err(|error| self.unreadable(error))?;
        let mut reader = get_typed_column_reader::<T>(reader);
        loop {
            let (mut values, mut levels) = (Vec::new(), Vec::new());
            let read = reader.read_records(ROWS, Some(&mut levels), None, &mut values);
            let (rows, present, _) = read.map_err(|error| self.unreadable(error))?;
            if rows == 0 {
                return Ok(());
            }
            self.check_present(rows, present, labels.len(), "label")?;
            self.check_room(labels.len() + rows)?;
            for value in values {
                labels.push(self.label(value.into(), labels.len(), column)?);
            }
        }
    }

    fn label(&self, value: i64, row: usize, column: &Column) -> Result<u32> {
        let classes = self.repo.name.classes();
        let label = u32::try_from(value).ok().filter(|&label| (label as usize) < classes);
        label.ok_or_else(|| {
            let found = format!("{value} in row {row} of {}", column.name);
            self.wrong(&format!("labels below {classes}"), &found)
        })
    }

    fn read_images(&self, group: &dyn RowGroupReader, column: &Column, images: &mut Vec<u8>) -> Result<()> {
        let reader = group.get_column_reader(column.index).map_err(|error| self.unreadable(error))?;
        let mut reader = get_typed_column_reader::<ByteArrayType>(reader);
        loop {
            let (mut values, mut levels) = (Vec::new(), Vec::new());
            let read = reader.read_records(ROWS, Some(&mut levels), None, &mut values);
            let (rows, present, _) = read.map_err(|error| self.unreadable(error))?;
            if rows == 0 {
                return Ok(());
            }
            let before = images.len() / self.image_size();
            self.check_present(rows, present, before, "picture")?;
            self.check_room(before + rows)?;
            self.decode(&values, column, images)?;
        }
    }

    fn decode(&self, pictures: &[ByteArray], column: &Column, images: &mut Vec<u8>) -> Result<()> {
        let (start, size) = (images.len(), self.image_size());
        images.resize(start + pictures.len() * size, 0);
        let planes = images[start..].par_chunks_exact_mut(size).zip(pictures).enumerate();
        let wrong = planes.find_map_first(|(i, (planes, png))| {
            let found = picture::exact(png.data(), self.repo.name.shape(), planes).err()?;
            let (wanted, row) = (picture::wanted(self.repo.name.shape()), start / size + i);
            let expected = format!("{wanted} in row {row} of {}", column.name);
            Some(self.wrong(&expected, &found))
        });
        wrong.map_or(Ok(()), Err)
    }

    fn check_present(&self, rows: usize, present: usize, before: usize, what: &str) -> Result<()> {
        if rows == present {
            return Ok(());
        }
        let found = format!("{} without one among rows {before} to {}", rows - present, before + rows);
        Err(self.wrong(&format!("a {what} in every row"), &found))
    }

    /// Rows that repeat an entry of a dictionary cost next to nothing in the file.
    fn check_room(&self, rows: usize) -> Result<()> {
        let largest = self.length.saturating_mul(LARGEST_RATIO).max(SMALL);
        if (rows as u64).saturating_mul(self.image_size() as u64) <= largest {
            return Ok(());
        }
        let found = format!("at least {rows} rows in {} bytes", self.length);
        Err(self.wrong("a picture in every row", &found))
    }

    fn image_size(&self) -> usize {
        let (c, h, w) = self.repo.name.shape();
        c * h * w
    }

    fn no_parquet(&self, error: parquet::errors::ParquetError, file: &impl ChunkReader) -> Error {
        match file.get_bytes(0, POINTER.len()) {
            Ok(bytes) if bytes == POINTER => {
                self.wrong("a parquet file", "what Git LFS puts in its place (git lfs pull fetches it)")
            }
            _ => self.unreadable(error),
        }
    }

    fn unreadable(&self, error: parquet::errors::ParquetError) -> Error {
        self.wrong("a parquet file", &error.to_string())
    }

    fn wrong(&self, expected: &str, found: &str) -> Error {
        Error::format(self.path, expected, found)
    }
}
