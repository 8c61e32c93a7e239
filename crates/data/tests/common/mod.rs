//! Small parquet files of pictures, and a server that hands them out, well or badly.
#![allow(dead_code)]

pub(crate) mod server;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::sync::Arc;

pub(crate) fn png(colour: png::ColorType, width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    bytes
}

/// A colour picture of 32x32 whose red channel is the row, green the column and blue the seed.
pub(crate) fn colour_picture(seed: u8) -> Vec<u8> {
    let pixel = |i: u32| [(i / 32) as u8, (i % 32) as u8, seed];
    let pixels: Vec<u8> = (0..32 * 32).flat_map(pixel).collect();
    png(png::ColorType::Rgb, 32, 32, &pixels)
}

/// A parquet file in the Hub's layout of CIFAR-100: pictures (none is null), and labels of the fine kind.
pub(crate) fn cifar100(rows: &[(Option<Vec<u8>>, i64)]) -> Vec<u8> {
    let schema = "message hub { optional group img { optional binary bytes; optional binary path (STRING); }
                  optional int64 fine_label; optional int64 coarse_label; }";
    table(schema, rows, 2)
}

/// A parquet file of this schema: two byte columns in a group, the first with the pictures, then label columns of
/// integers. Without rows the columns may be of any type.
pub(crate) fn table(schema: &str, rows: &[(Option<Vec<u8>>, i64)], labels: usize) -> Vec<u8> {
    described(schema, rows, labels, None)
}

/// The same, with what the library `datasets` writes into it of its features.
pub(crate) fn described(
    schema: &str,
    rows: &[(Option<Vec<u8>>, i64)],
    labels: usize,
    features: Option<&str>,
) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let compression = parquet::basic::Compression::SNAPPY;
    let about = features.map(|text| vec![KeyValue::new("huggingface".into(), text.to_string())]);
    let properties = WriterProperties::builder().set_compression(compression).set_key_value_metadata(about).build();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    for rows in rows.chunks(rows.len().div_ceil(3).max(1)) {
        let mut group = writer.next_row_group().unwrap();
        let pictures: Vec<ByteArray> = rows.iter().filter_map(|(png, _)| png.clone()).map(ByteArray::from).collect();
        let levels: Vec<i16> = rows.iter().map(|(png, _)| if png.is_some() { 2 } else { 1 }).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&pictures, Some(&levels), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let levels = vec![1; rows.len()];
        column.typed::<ByteArrayType>().write_batch(&[], Some(&levels), None).unwrap();
        column.close().unwrap();
        for _ in 0..labels {
            let values: Vec<i64> = rows.iter().map(|(_, label)| *label).collect();
            let mut column = group.next_column().unwrap().unwrap();
            write_integers(column.untyped(), &values, &levels);
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

fn write_integers(column: &mut ColumnWriter, values: &[i64], levels: &[i16]) {
    let narrow: Vec<i32> = values.iter().map(|&value| value as i32).collect();
    let written = match column {
        ColumnWriter::Int32ColumnWriter(column) => column.write_batch(&narrow, Some(levels), None),
        ColumnWriter::Int64ColumnWriter(column) => column.write_batch(values, Some(levels), None),
        _ => panic!("a column of integers was expected"),
    };
    written.unwrap();
}
