//! Tables as people have them, and arrays.

use candle_core::{DType, Device};
use l0_data::{
    Augment, DataRecord, DataSpec, Dataset, Feed, Normalise, NormaliseBy, NormaliseName, Options, Scale, Silent,
    Source, Split, Table, Task, load,
};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

#[derive(Debug)]
struct File {
    _dir: TempDir,
    path: PathBuf,
}

fn file(name: &str, bytes: &[u8]) -> File {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    File { _dir: dir, path }
}

fn csv(text: &str) -> Result<Dataset, String> {
    let file = file("my table.csv", text.as_bytes());
    Table::open(&file.path).and_then(Table::load).map_err(|error| error.to_string())
}

/// Rows of two columns and a label.
fn rows(n: usize, between: &str, label: impl Fn(usize) -> String) -> String {
    (0..n).map(|i| format!("{i}{between}{}{between}{}\n", i * i, label(i))).collect()
}

#[test]
fn a_table_is_read_and_a_fifth_of_each_class_held_out() {
    let text = format!("a,b,kind\n{}", rows(40, ",", |i| ["x", "y"][i % 2].into()));
    let data = csv(&text).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.train.dims()), (32, 8, vec![2]));
    assert_eq!(
        (data.train.class_names(), &data.columns[..]),
        (&["x".to_string(), "y".into()][..], &["a".to_string(), "b".into()][..])
    );
    assert_eq!(data.test.labels().iter().filter(|&&label| label == 0).count(), 4);
    assert_eq!(
        (data.name.as_str(), &data.choices[..], &data.notes[..]),
        (
            "my table",
            &[
                "predicts kind, one of 2 classes".to_string(),
                "8 of 40 examples held out to test on: the data has none for that".into(),
            ][..],
            &[][..]
        )
    );
    let feed = Feed::new(&data.train, data.normalise.clone(), 32, &Device::Cpu).unwrap();
    let batch = feed.in_order().next().unwrap().unwrap();
    assert_eq!((batch.images.dims(), batch.labels.dtype()), (&[32, 2][..], DType::U32));
    let means = batch.images.mean(0).unwrap().to_vec1::<f32>().unwrap();
    let squares = batch.images.sqr().unwrap().mean(0).unwrap().to_vec1::<f32>().unwrap();
    assert!(means.iter().all(|mean| mean.abs() < 1e-5) && squares.iter().all(|square| (square - 1.0).abs() < 1e-4));
    assert_eq!(csv(&text).unwrap().digest().unwrap(), data.digest().unwrap());
}

#[test]
fn spreadsheets_of_many_countries_are_read_alike() {
    let expected = csv(&format!("a,b,label\n{}", rows(30, ",", |i| (i % 3).to_string()))).unwrap();
    let commas = |text: String| text.replace('.', ",");
    for text in [
        format!("\u{feff}a;b;label\r\n{}", rows(30, ";", |i| (i % 3).to_string()).replace('\n', "\r\n")),
        format!("a\tb\tlabel\n{}\n\n", rows(30, "\t", |i| (i % 3).to_string())),
        format!("\"a\",\"b\",\"label\"\n{}", rows(30, ",", |i| format!("\"{}\"", i % 3))),
        commas(format!("a;b;label\n{}", rows(30, ";", |i| format!("{}.0", i % 3)).replacen("0;", "0.0;", 1))),
        format!("label,a,b\n{}", (0..30).map(|i| format!("{},{i},{}\n", i % 3, i * i)).collect::<String>()),
    ] {
        let found = csv(&text).unwrap();
        assert_eq!(found.digest().unwrap(), expected.digest().unwrap(), "{text}");
        assert_eq!(
            (found.columns, found.train.class_names()),
            (expected.columns.clone(), expected.train.class_names())
        );
    }
    let unnamed = csv(&rows(30, ",", |i| (i % 3).to_string())).unwrap();
    assert_eq!((unnamed.columns, unnamed.train.len()), (vec!["1".to_string(), "2".into()], 24));
    let quoted = csv("a,b,kind\n1,2,\"x, \"\"y\"\"\"\n1,3,\"x, \"\"y\"\"\"\n2,2,z\n2,5,z\n").unwrap();
    assert_eq!(quoted.train.class_names(), ["x, \"y\"", "z"]);
    let latin = file("l.csv", b"a,kind\n1,caf\xe9\n2,caf\xe9\n3,tea\n4,tea\n");
    assert_eq!(Table::open(&latin.path).unwrap().load().unwrap().train.class_names(), ["café", "tea"]);
}

#[test]
fn numbers_are_predicted_scaled_by_the_training_rows() {
    let data = csv(&format!("a,b,target\n{}", rows(100, ",", |i| format!("{}.5", 3 * i)))).unwrap();
    let (targets, Scale { mean, std }) = data.train.targets().unwrap();
    assert_eq!((data.train.classes(), data.train.labels().len(), targets.len()), (0, 0, 80));
    let back = f64::from(targets[10]) * std + mean;
    assert!((back - (3.0 * f64::from(data.train.row(10)[0]) + 0.5)).abs() < 1e-3, "{back}");
    assert!(targets.iter().sum::<f32>().abs() < 1e-3);
    let batch = data.test.batch(&[3, 1], &data.normalise, None, &Device::Cpu).unwrap();
    assert_eq!((batch.labels.dims(), batch.labels.dtype(), batch.len()), (&[2, 1][..], DType::F32, 2));
    // Whole numbers: classes where they are few, unless one says otherwise.
    let few = file("few.csv", format!("a,b,y\n{}", rows(100, ",", |i| (i % 4).to_string())).as_bytes());
    let of = |task| Table::open(&few.path).unwrap().task(task).load().unwrap().train.classes();
    assert_eq!((of(Task::Classes), of(Task::Regression)), (4, 0));
    assert_eq!(Table::open(&few.path).unwrap().load().unwrap().train.classes(), 4);
    let many = csv(&format!("a,b,y\n{}", rows(100, ",", |i| i.to_string()))).unwrap();
    assert_eq!(many.train.classes(), 0);
}

#[test]
fn what_is_missing_constant_or_no_number_is_handled_or_refused() {
    let holes = "a,b,c,label\n1,NA,7,x\n2,5,7,x\n,6,7,y\n4,?,7,y\n5,9,7,y\n6,9,7,\n";
    let data = csv(holes).unwrap();
    assert_eq!(data.train.len() + data.test.len(), 5);
    let notes = data.notes.join("\n");
    assert!(notes.contains("1 rows without a label left out"), "{notes}");
    assert!(notes.contains("missing values, the mean of the training rows in their place: a (1), b (2)"), "{notes}");
    assert!(notes.contains("columns of one value, which say nothing: c"), "{notes}");
    let batch = data.train.batch(&[0, 1, 2], &data.normalise, None, &Device::Cpu).unwrap();
    let values: Vec<f32> = batch.images.flatten_all().unwrap().to_vec1().unwrap();
    assert!(values.iter().all(|value| value.is_finite()) && values[2] == 0.0, "{values:?}");
    let refused = |text: &str, said: &str| {
        let error = csv(text).unwrap_err();
        assert!(error.contains(said), "{error}");
    };
    refused(
        "a,b,label\n1,red,x\n2,blue,y\n3,red,x\n4,blue,y\n",
        "\"red\" in column b of row 1, where numbers are learnt from; make numbers",
    );
    let prices = rows(30, ",", |i| format!("\"{},000.5\"", i + 1));
    refused(&format!("a,b,price\n{prices}"), "another label in column price of each of 30 rows, as \"1,000.5\"; of a");
    refused(&format!("a,b,price\n{}", rows(30, ",", |_| "2.5".into())), "2.5 in every row of column price, so there");
    let names = rows(30, ",", |i| format!("name {}", i % 20));
    refused(&format!("a,b,name\n{names}"), "20 different labels in column name of 30 rows, as \"name 0\"; of a class");
    refused("a,label\n1,x\n2,x\n3,x\n", "1 classes in column label (x); a classifier tells 2 to");
    refused("a,label\n1,\n2,\n3,\n", "no label in column label; give rows labels, or name another column");
    refused(
        "a|label\n1|x\n2|y\n",
        "2 rows of 1 columns; a table has two columns at least; in a text, commas, semicolons",
    );
    refused("a,b,label\n1,,x\n2,,y\n3,,x\n4,NA,y\n", "no number in column b; take the column away");
    refused("a,b,label\n1,2,x\n2,y\n3,4,x\n", "2 cells in line 3, 3 in the first line");
    refused("a,b,label\r\n1,2,x\r\n2,y\r\n", "2 cells in line 3, 3 in");
    refused("a,b,label\n\n1,2,x\n\n2,y\n3,4,x\n", "2 cells in line 5, 3 in the first line");
    refused("a,b,label\n1,1e39,x\n2,3,y\n3,4,x\n5,6,y\n", "1e39 in column b of row 1; numbers lie within");
    refused("a,b,label\n", "0 rows of 3 columns");
    let open = "a,b,label\n1,2,x\n2,3,\"y\n3,4,x\n4,5,y\n";
    refused(open, "a label in column label of row 2 that goes on in the next line; close its quotes");
    refused("a\n1\n2\n", "of 1 columns");
    refused("", "no row");
    let utf16 = file("u.csv", b"\xff\xfea\0,\0b\0");
    assert!(Table::open(&utf16.path).unwrap_err().to_string().ends_with("text in UTF-16; save it as UTF-8"));
    let table = file("t.csv", b"a,b,c\n1,2,3\n4,5,6\n");
    let error = Table::open(&table.path).unwrap().label("d").unwrap_err().to_string();
    assert!(error.ends_with("no column \"d\"; its columns are a, b, c"), "{error}");
}

#[test]
fn a_comma_is_decimal_where_it_cannot_part_thousands() {
    let of = |cells: [&str; 2]| {
        csv(&format!("a;price\n{}", (0..60).map(|i| format!("{i};{}\n", cells[i % 2])).collect::<String>()))
    };
    let data = of(["12,500", "1250,125"]).unwrap();
    assert!(data.notes.concat().contains("its commas are decimal, as in 1250,125"), "{:?}", data.notes);
    let (_, scale) = data.train.targets().unwrap();
    assert!((scale.mean - 631.3).abs() < 100.0, "{scale:?}");
    assert!(of(["0,125", "12,500"]).unwrap().notes.concat().contains("as in 0,125"));
    assert!(of(["1.5", "2.5"]).unwrap().notes.is_empty());
    // Between semicolons it is decimal, unless a point is; between tabs nobody can tell.
    assert!(of(["12,500", "950"]).unwrap().notes.concat().contains("as in 12,500"));
    let between_tabs = (0..60).map(|i| format!("{i}\t{}\n", ["12,500", "950"][i % 2])).collect::<String>();
    for error in [of(["-1,000", "2.5"]), csv(&format!("a\tprice\n{between_tabs}"))].map(Result::unwrap_err) {
        assert!(
            error.contains("and no number that tells whether its comma is decimal or parts thousands; write"),
            "{error}"
        );
    }
}

#[test]
fn a_dot_parts_thousands_where_commas_are_decimal_or_is_refused() {
    let of = |cells: [&str; 3]| {
        let row = |i: usize| format!("{};{}\n", cells[i % 3], ["x", "y"][i % 2]);
        csv(&format!("price;kind\n{}", (0..60).map(row).collect::<String>()))
    };
    let numbers = |cells: [&str; 3]| {
        let data = of(cells).unwrap();
        let mut all = [data.train.numbers(), data.test.numbers()].concat();
        all.sort_by(f32::total_cmp);
        all.dedup();
        all
    };
    assert_eq!(numbers(["1.234,5", "12.000,25", "990,5"]), [990.5_f32, 1234.5, 12000.25]);
    assert_eq!(numbers(["-1.234.567,5", "2", "990"]), [-1234567.5_f32, 2.0, 990.0]);
    assert!(of(["1.234,5", "990", "12"]).unwrap().notes.concat().contains("its commas are decimal, as in 1.234,5"));
    for thousands in ["1.000", "-12.500", "1.000.000"] {
        let error = of([thousands, "990", "2,5"]).unwrap_err();
        let said =
            format!("{thousands} in column price of line 2, whose dot may part thousands, where commas are decimal");
        assert!(error.ends_with(&format!("{said}; write numbers as 1234,5")), "{error}");
    }
    // These are no thousands, and without a comma a dot is decimal.
    assert_eq!(numbers(["0.125", "1234.5", "2,5"]), [0.125_f32, 2.5, 1234.5]);
    assert_eq!(numbers(["1.000", "990", "2.500"]), [1.0_f32, 2.5, 990.0]);
}

#[test]
fn a_text_among_numbers_is_a_mistake_unless_classes_are_asked_for() {
    let prices = |eighth: &str| {
        let label = |i: usize| if i == 7 { eighth.to_string() } else { format!("{}.5", i % 176) };
        csv(&format!("a,b,price\n{}", rows(200, ",", label)))
    };
    let error = prices("12.5 (est.)").unwrap_err();
    let said = "199 of 200 labels in column price are numbers, and these are not: row 8: \"12.5 (est.)\"; mend them, \
                leave them empty, or say that they are classes (Task::Classes, --task classes)";
    assert!(error.ends_with(said), "{error}");
    for missing in ["n.a.", "#N/A", "nan", ""] {
        let data = prices(missing).unwrap();
        assert_eq!((data.train.classes(), data.train.len() + data.test.len()), (0, 199), "{missing}");
    }
    let kind = |i: usize| if i.is_multiple_of(20) { "other".to_string() } else { (i % 4).to_string() };
    let kinds = file("kinds.csv", format!("a,b,kind\n{}", rows(100, ",", kind)).as_bytes());
    let table = || Table::open(&kinds.path).unwrap();
    let error = table().load().unwrap_err().to_string();
    assert!(
        error.contains("95 of 100 labels in column kind are numbers") && error.contains("row 21: \"other\""),
        "{error}"
    );
    assert_eq!(table().task(Task::Classes).load().unwrap().train.class_names(), ["0", "1", "2", "3", "other"]);
}

#[test]
fn labels_that_look_like_numbers_are_told_apart_as_they_are_written() {
    let classes = |labels: &[&str], between: &str| {
        let text = rows(60, between, |i| labels[i % labels.len()].into());
        let file = file("labels.csv", format!("a{between}b{between}label\n{text}").as_bytes());
        let data = Table::open(&file.path).unwrap().task(Task::Classes).load().unwrap();
        data.train.class_names().join(" ")
    };
    for (labels, expected) in [
        (&["01", "1", "10", "1E1"][..], "01 1 10 1E1"),
        (&["007", "7", "42"], "007 7 42"),
        (&["1.1", "1.10", "2"], "1.1 1.10 2"),
        (&["9007199254740993", "9007199254740992"], "9007199254740992 9007199254740993"),
        // Whole numbers as programs write them beside missing ones are the same numbers.
        (&["10", "9", "0"], "0 9 10"),
        (&["1.0", "2.", "2", "3.00", "1", ""], "1 2 3"),
        (&["1.0", "2", "other", "another", "third"], "1 2 another other third"),
        (&["0.5", "1.5"], "0.5 1.5"),
        (&["1", "1.0", "01"], "01 1"),
    ] {
        assert_eq!(classes(labels, ","), expected, "{labels:?}");
    }
    assert_eq!(classes(&["1,5", "2,0", "1,50"], ";"), "1.5 1.50 2");
    assert_eq!(classes(&["1,0", "2,0"], ";"), "1 2");
    // What is predicted as a number is one, however it is written.
    let prices = csv(&format!("a,b,price\n{}", rows(60, ",", |i| format!("{:e}", i as f64 + 0.5)))).unwrap();
    assert_eq!(prices.train.classes(), 0);
}

#[test]
fn rows_to_answer_for_are_checked_before_any_is_computed() {
    let (known, source, _file) = loaded(&format!("a,b,label\n{}", rows(40, ",", |i| ["x", "y"][i % 2].into())));
    let record = DataRecord::of(&source, &known).unwrap();
    let answered = |text: &str| {
        let table = file("new.csv", text.as_bytes());
        record.rows(&table.path, &[0, 1, 2]).map(|(split, _)| split.len()).map_err(|error| error.to_string())
    };
    assert_eq!(answered("b,a\n1,2\n3,\n"), Ok(2));
    // A column that the network does not look at may be left out.
    let without_b = file("a.csv", b"a,c\n1,2\n");
    assert!(record.rows(&without_b.path, &[0, 1]).unwrap_err().to_string().contains("no column: b"));
    let (split, _) = record.rows(&without_b.path, &[0]).unwrap();
    assert_eq!((split.row(0)[0], split.dims()), (1.0, vec![2]));
    // Nor does it matter what is in it.
    let words = file("a.csv", b"a,b\n1,none of its business\n");
    assert_eq!(record.rows(&words.path, &[0]).unwrap().0.row(0)[0], 1.0);
    // Without names, and without the label that came first: columns stand in their order, whatever is read.
    let (unnamed, source, _file) =
        loaded(&(0..40).map(|i| format!("{}.5,{i}.5,{}.25\n", i % 2, i * i)).collect::<String>());
    let record = DataRecord::of(&source, &unnamed).unwrap();
    assert_eq!(record.columns, ["1", "2"]);
    let record = DataRecord { columns: vec!["2".into(), "3".into()], ..record };
    let new = file("new.csv", b"7.5,8.5\n9.5,1.5\n");
    assert_eq!(record.rows(&new.path, &[0]).unwrap().0.row(0)[0], 7.5);
    let too_large = "numbers lie within those of 32 bits, below 3.4e38";
    for (text, said) in [
        ("a,b\n1,2\n3,inf\n", format!("new.csv: inf in column b of row 2; {too_large}")),
        ("b,a\n1,2\n3,-1e39\n", format!("new.csv: -1e39 in column a of row 2; {too_large}")),
        ("a,b\n1,x\n", "new.csv: \"x\" in column b of row 1; a number is expected there".into()),
        ("a,b,c\n", "new.csv: 0 rows of 3 columns; give it a row to answer for".into()),
    ] {
        let error = answered(text).unwrap_err();
        assert!(error.ends_with(&said), "{error}");
    }
}

/// A file of that table, and where it lies.
fn loaded(text: &str) -> (Dataset, DataSpec, File) {
    let file = file("table.csv", text.as_bytes());
    let spec: DataSpec = file.path.to_str().unwrap().parse().unwrap();
    (load(spec.clone(), &Source::default(), &Silent).unwrap(), spec, file)
}

/// The same, read by this rule.
fn loaded_by(text: &str, name: NormaliseName) -> Result<(Dataset, DataSpec, File), String> {
    let (_, mut spec, file) = loaded(text);
    spec.options.normalise = Some(NormaliseBy::Name(name));
    let data = load(spec.clone(), &Source::default(), &Silent).map_err(|error| error.to_string())?;
    Ok((data, spec, file))
}

#[test]
fn columns_and_the_numbers_to_predict_are_left_as_they_are_where_that_is_asked_for() {
    let text = format!("a,b,price\n{}", rows(60, ",", |i| format!("{}.5", 100 + 7 * i)));
    let (usual, ..) = loaded(&text);
    let (data, source, _file) = loaded_by(&text, NormaliseName::None).unwrap();
    assert_eq!(data.normalise.constants(), (&[0.0, 0.0][..], &[1.0, 1.0][..]));
    let batch = data.train.batch(&[2], &data.normalise, None, &Device::Cpu).unwrap();
    assert_eq!(batch.images.to_vec2::<f32>().unwrap(), [data.train.row(2)]);
    let ((numbers, scale), (scaled, usual_scale)) = (data.test.targets().unwrap(), usual.test.targets().unwrap());
    assert_eq!((scale.mean, scale.std), (0.0, 1.0));
    for (number, scaled) in numbers.iter().zip(scaled) {
        let expected = f64::from(*scaled) * usual_scale.std + usual_scale.mean;
        assert!((f64::from(*number) - expected).abs() < 1e-3, "{number} {expected}");
    }

    // A network remembers it of its data, and so does what is written down.
    let record = DataRecord::of(&source, &data).unwrap();
    let record: DataRecord = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
    assert_eq!(record.source.options.normalise, Some(NormaliseBy::Name(NormaliseName::None)));
    let known = record.as_trained(usual.clone()).unwrap();
    assert_eq!((&known.normalise, known.test.targets().unwrap().1), (&data.normalise, scale));
    let named = record.as_named(usual.clone()).unwrap();
    assert_eq!((named.normalise, named.test), (usual.normalise.clone(), usual.test.clone()));
    let whole = file("new.csv", b"a,b\n1,2\n");
    assert_eq!(record.rows(&whole.path, &[0, 1]).unwrap().0.row(0), [1.0, 2.0]);
    let missing = file("new.csv", b"a,b\n1,2\n,3\n");
    let error = record.rows(&missing.path, &[0, 1]).unwrap_err().to_string();
    assert!(error.contains("new.csv: no number in column a of 1 of 2 rows; give one"), "{error}");

    assert_eq!(loaded_by(&text, NormaliseName::Computed).unwrap().0.normalise, usual.normalise);
    let error = loaded_by(&text, NormaliseName::Unit).unwrap_err();
    assert!(error.contains("constants of pixels, for a table; choose computed"), "{error}");
}

#[test]
fn numbers_of_columns_go_with_them_where_a_network_has_others() {
    let text = |columns: &str, cells: fn(usize) -> String| {
        format!("{columns},label\n{}", (0..40).map(|i| format!("{},{}\n", cells(i), i % 2)).collect::<String>())
    };
    let (known, source, _file) = loaded(&text("a,b", |i| format!("{i},{}", i * i)));
    let record = DataRecord::of(&source, &known).unwrap();
    let (other, ..) = loaded(&text("b,c,a", |i| format!("{},{i},{}", i * i, 9 * i)));
    let named = record.as_named(other).unwrap();
    assert_eq!(named.normalise, Normalise::of(&named.train).unwrap());
}

#[test]
fn columns_are_known_by_name_wherever_they_stand() {
    type Cell = fn(usize) -> usize;
    let text = |columns: [&str; 3], cells: [Cell; 3]| {
        let row = |i: usize| format!("{}\n", cells.map(|cell| cell(i).to_string()).join(","));
        format!("{}\n{}", columns.join(","), (0..40).map(row).collect::<String>())
    };
    let [a, b, kind]: [Cell; 3] = [|i| i, |i| i * i, |i| i % 2];
    let (known, source, _file) = loaded(&text(["a", "b", "label"], [a, b, kind]));
    let record = DataRecord::of(&source, &known).unwrap();
    let (moved, ..) = loaded(&text(["b", "label", "a"], [b, kind, a]));
    assert_ne!(moved.digest().unwrap(), record.sha256);
    let moved = record.as_trained(moved).unwrap();
    assert_eq!((moved.digest().unwrap(), &moved.columns), (record.sha256.clone(), &known.columns));
    assert_eq!((moved.normalise, moved.train), (known.normalise, known.train));
    let (other, ..) = loaded(&text(["c", "b", "label"], [a, b, kind]));
    let error = record.as_trained(other).unwrap_err().to_string();
    assert_eq!(error, "table: no column: a, which the network was trained on; it has: c, b");
}

#[test]
fn classes_are_known_by_name_and_numbers_in_the_scale_of_the_training() {
    let rows = |of: fn(usize) -> String| format!("a,label\n{}", (0..60).map(of).collect::<String>());
    let sizes = ["small", "medium", "large"];
    let (known, source, _file) = loaded(&rows(|i| format!("{i},{}\n", ["small", "medium", "large"][i % 3])));
    let record = DataRecord::of(&source, &known).unwrap();
    let name_of = |split: &Split, i: usize| split.class_names()[split.labels()[i] as usize].clone();
    let (fewer, ..) = loaded(&rows(|i| format!("{i},{}\n", ["medium", "small"][i % 2])));
    let names: Vec<String> = (0..fewer.train.len()).map(|i| name_of(&fewer.train, i)).collect();
    let fewer = record.as_trained(fewer).unwrap();
    assert_eq!((fewer.train.classes(), fewer.train.class_names()), (3, known.train.class_names()));
    assert!(
        names.iter().enumerate().all(|(i, name)| name_of(&fewer.train, i) == *name && sizes.contains(&name.as_str()))
    );
    let (more, ..) = loaded(&rows(|i| format!("{i},{}\n", ["small", "huge"][i % 2])));
    let error = record.as_trained(more).unwrap_err().to_string();
    let expected = "table: classes: huge, which the network was not trained on; it tells apart: large, medium, small";
    assert_eq!(error, expected);

    let (known, source, _file) = loaded(&rows(|i| format!("{i},{}.5\n", 100 + i)));
    let record = DataRecord::of(&source, &known).unwrap();
    let (other, ..) = loaded(&rows(|i| format!("{},{}.5\n", 7 * i, 400 + 3 * i)));
    let number = |split: &Split, i: usize| {
        let (numbers, scale) = split.targets().unwrap();
        f64::from(numbers[i]) * scale.std + scale.mean
    };
    let before: Vec<f64> = (0..other.test.len()).map(|i| number(&other.test, i)).collect();
    assert_ne!(other.normalise, known.normalise);
    let other = record.as_trained(other).unwrap();
    assert_eq!(other.normalise, known.normalise, "the network reads columns as it learnt to");
    assert_eq!(other.test.targets().unwrap().1, known.test.targets().unwrap().1);
    assert!(before.iter().enumerate().all(|(i, value)| (number(&other.test, i) - value).abs() < 1e-3));
}

#[test]
fn names_that_are_numbers_name_columns() {
    let rows = |of: fn(usize) -> String| (0..40).map(of).collect::<String>();
    let numbers = rows(|i| format!("{i},{},{},{}.5\n", i * i, i % 7, i));
    let (counted, ..) = loaded(&format!("0,1,2,target\n{numbers}"));
    assert_eq!((counted.columns.join(" "), counted.train.targets().is_some()), ("0 1 2".into(), true));
    assert!(counted.notes.concat().contains("its first line is taken for names"), "{:?}", counted.notes);
    let words = rows(|i| format!("{i},{},{},{}\n", i * i, i % 7, ["yes", "no"][i % 2]));
    let (counting, ..) = loaded(&format!("1,2,3,yes\n{words}"));
    assert_eq!(counting.train.len() + counting.test.len(), 41, "values, of which the word comes again");
    let (years, ..) = loaded(&format!("2019,2020,2021,sales\n{numbers}"));
    assert_eq!(years.columns.join(" "), "2019 2020 2021");
    let (double, ..) = loaded(&format!("age,age,w,target\n{numbers}"));
    assert_eq!(double.columns.join(" "), "age 2 w");
    assert_eq!(double.notes[0], "columns whose name another one has, called by their number: age (2)");
    let (unnamed, ..) = loaded(&rows(|i| format!("{}.1,3.5,{},{}\n", i, i % 5, ["a", "b"][i % 2])));
    assert_eq!((unnamed.columns.join(" "), unnamed.train.len() + unnamed.test.len()), ("1 2 3".into(), 40));
}

#[test]
fn none_is_missing_among_numbers_and_a_class_among_words() {
    let (data, ..) = loaded(&format!(
        "a,label\n{}",
        (0..60)
            .map(|i| format!("{},{}\n", if i == 7 { "none".into() } else { i.to_string() }, ["none", "mild"][i % 2]))
            .collect::<String>()
    ));
    assert_eq!((data.train.class_names().join(" "), data.train.len() + data.test.len()), ("mild none".into(), 60));
    assert!(data.notes.concat().contains("missing values"), "{:?}", data.notes);
    assert!(data.choices.concat().contains("\"none\" is the class of 30 rows"), "{:?}", data.choices);
    let table = file("infinite.csv", b"a,y\n1,0.5\n2,inf\n3,2.5\n4,1.5\n");
    let spec: DataSpec = table.path.to_str().unwrap().parse().unwrap();
    let error = load(spec, &Source::default(), &Silent).unwrap_err().to_string();
    assert!(
        error.ends_with("inf in column y of row 2, where a number is predicted; mend the row, or leave the cell empty"),
        "{error}"
    );
}

#[test]
fn what_plays_no_part_in_data_of_a_kind_is_refused() {
    let (_, table, _file) = loaded("a,label\n1,x\n2,y\n3,x\n4,y\n");
    let labels = zip(&[("x.npy", npy("|u1", "(4, 2)", &[0; 8])), ("y.npy", npy("|u1", "(4,)", &[0, 1, 0, 1]))], false);
    let arrays = file("rows.npz", &labels);
    let arrays: DataSpec = arrays.path.to_str().unwrap().parse().unwrap();
    let refused = |spec: DataSpec| load(spec, &Source::default(), &Silent).unwrap_err().to_string();
    for (spec, name) in [(&table, "table"), (&arrays, "rows")] {
        let options = Options { augment: Some(Augment::cifar()), ..Options::default() };
        let said = refused(DataSpec { options, ..spec.clone() });
        assert_eq!(said, format!("{name}: rows of numbers are neither moved nor mirrored; leave augment out"));
    }
    let said = refused(table.resize(64));
    assert!(
        said.ends_with("table.csv: a size is chosen, which the rows of a table do not know; leave it out"),
        "{said}"
    );
    let options = Options { label: Some("y".into()), ..Options::default() };
    let said = refused(DataSpec { options, ..arrays });
    assert!(said.ends_with("rows.npz: a column of labels is chosen, which arrays do not know; leave it out"), "{said}");
}

/// An array as `numpy.save` writes it.
fn npy(kind: &str, dims: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {dims}, }}\n");
    [&b"\x93NUMPY\x01\0"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), data].concat()
}

/// An archive as `numpy.savez` writes it, or `savez_compressed`.
fn zip(entries: &[(&str, Vec<u8>)], is_deflated: bool) -> Vec<u8> {
    use std::io::Write;
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let mut encoder = flate2::write::DeflateEncoder::new(vec![], flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        let packed = if is_deflated { encoder.finish().unwrap() } else { bytes.clone() };
        let method = if is_deflated { 8u16 } else { 0 };
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let crc = crc.sum().to_le_bytes();
        let sizes = [packed.len() as u32, bytes.len() as u32].map(u32::to_le_bytes).concat();
        let common = [
            &[20, 0, 0, 0][..],
            &method.to_le_bytes(),
            &[0; 4],
            &crc,
            &sizes,
            &(name.len() as u16).to_le_bytes(),
            &[0; 2],
        ]
        .concat();
        let offset = (archive.len() as u32).to_le_bytes();
        archive.extend([&b"PK\x03\x04"[..], &common, name.as_bytes(), &packed].concat());
        directory.extend([&b"PK\x01\x02\x14\0"[..], &common, &[0; 10], &offset, name.as_bytes()].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (size, start) = ((directory.len() as u32).to_le_bytes(), (archive.len() as u32).to_le_bytes());
    [&archive[..], &directory, b"PK\x05\x06\0\0\0\0", &count, &count, &size, &start, &[0; 2]].concat()
}

fn arrays(name: &str, bytes: &[u8]) -> Result<Dataset, String> {
    let file = file(name, bytes);
    let spec: DataSpec = file.path.to_str().unwrap().parse().unwrap();
    load(spec, &Source::default(), &Silent).map_err(|error| error.to_string())
}

#[test]
fn archives_of_numpy_hold_images_and_labels() {
    let pixels: Vec<u8> = (0..2 * 12).collect();
    let labels: Vec<u8> = [2i64, 0].iter().flat_map(|label| label.to_le_bytes()).collect();
    for is_deflated in [false, true] {
        let file = zip(
            &[
                ("x_train.npy", npy("|u1", "(2, 2, 2, 3)", &pixels)),
                ("y_train.npy", npy("<i8", "(2,)", &labels)),
                ("x_test.npy", npy("|u1", "(2, 3, 2, 2)", &pixels)),
                ("y_test.npy", npy("|u1", "(2, 1)", &[2, 0])),
                ("about.npy", npy("|O", "(1,)", &[])),
            ],
            is_deflated,
        );
        let data = arrays("four.npz", &file).unwrap();
        assert_eq!((data.train.shape(), data.train.labels(), data.train.classes()), ((3, 2, 2), &[2, 0][..], 3));
        assert_eq!(data.train.image(0), [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]); // channels were last
        assert_eq!(data.test.image(1), &pixels[12..]);
    }
    let grey: Vec<u8> = (0..40).flat_map(|i| (i as f32 / 255.0).to_le_bytes()).collect();
    let labels: Vec<u8> = (0..10).map(|i| i % 2).collect();
    let file =
        zip(&[("images.npy", npy("<f4", "(10, 2, 2)", &grey)), ("labels.npy", npy("|u1", "(10,)", &labels))], true);
    let data = arrays("one.npz", &file).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.train.shape()), (8, 2, (1, 2, 2)));
    let all = [data.train.images(), data.test.images()].concat();
    assert_eq!(all.iter().map(|&byte| usize::from(byte)).sum::<usize>(), 40 * 39 / 2);
    let rows = zip(&[("x.npy", npy("<f4", "(10, 4)", &grey)), ("y.npy", npy("|u1", "(10,)", &labels))], false);
    assert_eq!(arrays("rows.npz", &rows).unwrap().train.dims(), [4]);
}

#[test]
fn arrays_that_make_no_data_set_are_refused() {
    let labels = || ("y.npy", npy("|u1", "(2,)", &[0, 1]));
    let refused = |entries: &[(&str, Vec<u8>)], said: &str| {
        let error = arrays("a.npz", &zip(entries, false)).unwrap_err();
        assert!(error.contains(said), "{error}");
    };
    refused(&[("x.npy", npy("|u1", "(3, 1, 1)", &[0; 3])), labels()], "images of 3x1x1 and 2 labels; call the arrays");
    refused(&[("x.npy", npy("|u1", "(2, 5, 2, 2)", &[0; 40])), labels()], "images of 2x5x2x2; they are (n, h, w)");
    refused(
        &[("x.npy", npy("<f4", "(2, 1, 1)", &[0x41; 8])), labels()],
        "a pixel of 12.078431 in x[0]; they are bytes",
    );
    refused(&[("x.npy", npy("<f4", "(2, 1, 1)", &[0xff; 8])), labels()], "a pixel of NaN in x[0]; put a number there");
    refused(&[("x.npy", npy("<f2", "(2, 1, 1)", &[0; 4])), labels()], "x.npy of elements of \"<f2\"; save it as");
    refused(&[("x.npy", npy("|u1", "(2, 1, 1)", &[0; 2]))], "Train images without labels");
    refused(&[("other.npy", npy("|u1", "(2,)", &[0; 2]))], "no training examples");
    let mut damaged = zip(&[("x.npy", npy("|u1", "(2, 1, 1)", &[7, 77])), labels()], false);
    let pixel = damaged.iter().position(|&byte| byte == 77).unwrap();
    damaged[pixel] = 78;
    let error = arrays("a.npz", &damaged).unwrap_err();
    assert!(error.contains("x.npy whose bytes are not those that were written"), "{error}");
    refused(
        &[("x.npy", npy("|u1", "(999999999, 999999999)", &[0; 2])), labels()],
        "2 bytes for an array of 999999999x999999999",
    );
    let four = || npy("|u1", "(4, 1, 1)", &[0; 4]);
    let of_four = |labels: &[u8]| npy("|u1", "(4,)", labels);
    refused(&[("x.npy", four()), ("y.npy", of_four(&[1; 4]))], "one class alone to learn from, 1;");
    refused(
        &[
            ("x_train.npy", four()),
            ("y_train.npy", of_four(&[0, 1, 0, 1])),
            ("x_test.npy", four()),
            ("y_test.npy", of_four(&[0, 1, 2, 2])),
        ],
        "test examples of class 2, which no training example has",
    );
    let from_one = arrays("a.npz", &zip(&[("x.npy", four()), ("y.npy", of_four(&[1, 1, 2, 2]))], false)).unwrap();
    assert_eq!(from_one.notes, ["no example of these classes (labels are counted from 0): 0"]);
    assert_eq!(from_one.choices, ["2 of 4 examples held out to test on: the data has none for that"]);
    let error = arrays("a.npz", b"no archive").unwrap_err();
    assert!(error.contains("expected an .npz or safetensors file"), "{error}");
}

#[test]
fn what_cannot_be_read_of_arrays_is_named_with_its_place() {
    let refused = |x: Vec<u8>, y: Vec<u8>, said: &str| {
        let error = arrays("a.npz", &zip(&[("x_train.npy", x), ("y_train.npy", y)], false)).unwrap_err();
        assert!(error.contains(said), "{error}");
    };
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let whole = |values: &[i64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let images = || npy("|u1", "(4, 1, 1)", &[0; 4]);
    let labels = || npy("|u1", "(4,)", &[0, 1, 0, 1]);
    let negative = npy("<i8", "(4,)", &whole(&[0, 1, -1, 0]));
    refused(images(), negative, "a.npz: a label of -1 in y_train[2]; labels are whole numbers from 0 to 65535");
    refused(images(), npy("<i8", "(4, 1)", &whole(&[9_000_000, 1, 0, 0])), "a label of 9000000 in y_train[0]; labels");
    refused(images(), npy("<f4", "(4,)", &floats(&[0.0, 0.37, 1.0, 1.0])), "a label of 0.37 in y_train[1]; labels");
    let with = |at: usize, value: f32| floats(&(0..8).map(|i| if i == at { value } else { 0.0 }).collect::<Vec<f32>>());
    refused(npy("<f4", "(4, 1, 2)", &with(5, f32::NAN)), labels(), "a pixel of NaN in x_train[2]; put a number there");
    refused(npy("<f4", "(4, 1, 2)", &with(7, 255.5)), labels(), "a pixel of 255.5 in x_train[3]; they are bytes");
    refused(npy("<i8", "(4, 1, 1)", &whole(&[0, 256, 0, 0])), labels(), "a pixel of 256 in x_train[1]; they are bytes");
    refused(npy("<f4", "(4, 2)", &with(3, f32::INFINITY)), labels(), "inf in x_train[1, 1]; numbers are finite");
    let others = [("x_test.npy", npy("|u1", "(4, 3)", &[0; 12])), ("y_test.npy", labels())];
    let train = || [("x_train.npy", images()), ("y_train.npy", labels())];
    let error = arrays("a.npz", &zip(&[train(), others].concat(), false)).unwrap_err();
    assert!(
        error.ends_with("a.npz: training examples of 1x1x1, test examples of 3; both need the same shape"),
        "{error}"
    );
    let more = [("x_val.npy", images()), ("y_val.npy", labels()), ("x_test.npy", images()), ("y_test.npy", labels())];
    let data = arrays("a.npz", &zip(&[&train()[..], &more].concat(), false)).unwrap();
    assert_eq!(data.choices, ["4 validation examples are neither learnt from nor tested on"]);
}

/// As `numpy.savez("iris.npz", **sklearn.datasets.load_iris())` writes it.
#[test]
fn texts_beside_arrays_name_the_classes_or_are_passed_over() {
    let texts = |texts: &[&str]| {
        let padded = |text: &str| text.chars().chain(std::iter::repeat('\0')).take(6).collect::<Vec<char>>();
        let cell = |text: &&str| padded(text).into_iter().flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<u8>>();
        npy("<U6", &format!("({},)", texts.len()), &texts.iter().flat_map(cell).collect::<Vec<u8>>())
    };
    let of = |names: &[&str]| {
        let entries = [
            ("data.npy", npy("|u1", "(4, 2)", &[0, 1, 2, 3, 4, 5, 6, 7])),
            ("target.npy", npy("|u1", "(4,)", &[0, 1, 0, 1])),
            ("target_names.npy", texts(names)),
            ("feature_names.npy", texts(&["a", "b"])),
            ("data_module.npy", npy("<U6", "()", &[0; 24])),
        ];
        arrays("iris.npz", &zip(&entries, false)).unwrap()
    };
    let data = of(&["sétosa", "other"]);
    assert_eq!(data.train.class_names(), ["sétosa", "other"]);
    assert_eq!(data.notes, ["passed over, as it holds no numbers: data_module.npy of elements of \"<U6\""]);
    for names in [&["a", "b", "c"][..], &["a", "a"]] {
        let data = of(names);
        assert!(data.train.class_names().is_empty());
        let said = "of them different, for 2 classes, which are called by their number";
        assert!(data.notes.iter().any(|note| note.starts_with("target_names has") && note.ends_with(said)));
    }
}

#[test]
fn whole_numbers_beyond_63_bits_do_not_become_negative() {
    let whole = |values: &[u64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let labels = || npy("<u8", "(4,)", &whole(&[0, 1, 0, 1]));
    let read = |x: Vec<u8>, y: Vec<u8>| arrays("a.npz", &zip(&[("x.npy", x), ("y.npy", y)], false));
    let data = read(npy("<u8", "(4, 1)", &whole(&[1 << 63, 1, 2, 3])), labels()).unwrap();
    let mut numbers = [data.train.numbers(), data.test.numbers()].concat();
    numbers.sort_by(f32::total_cmp);
    assert_eq!(numbers, [1.0, 2.0, 3.0, 9.223372e18]);
    let error = read(npy("|u1", "(4, 1)", &[0; 4]), npy("<u8", "(4,)", &whole(&[0, 1, 0, u64::MAX]))).unwrap_err();
    assert!(error.contains("a label of 18446744") && error.contains("in y[3]; labels are whole numbers"), "{error}");
}

#[test]
fn safetensors_hold_images_and_labels() {
    use safetensors::{Dtype, tensor::TensorView};
    let pixels: Vec<u8> = (0..40).collect();
    let labels: Vec<u8> = (0..10i32).flat_map(|i| (i % 2).to_le_bytes()).collect();
    let image = TensorView::new(Dtype::U8, vec![10, 1, 2, 2], &pixels).unwrap();
    let label = TensorView::new(Dtype::I32, vec![10], &labels).unwrap();
    let bytes = safetensors::serialize([("train.images", image), ("train.labels", label)], None).unwrap();
    let data = arrays("x.safetensors", &bytes).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.train.classes()), (8, 2, 2));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), cut in any::<prop::sample::Index>(),
        is_deflated: bool,
    ) {
        let path = Path::new("x");
        let archive = zip(&[("x.npy", npy("|u1", "(2, 1, 2)", &[1, 2, 3, 4])), ("y.npy", npy("|u1", "(2,)", &[0, 1]))], is_deflated);
        let table = b"a;b;label\n1,5;\"2\";x\n3;4;y\n2;?;x\n".to_vec();
        for whole in [archive, table] {
            let mut bytes = whole;
            let length = bytes.len();
            changes.iter().for_each(|(at, byte)| bytes[at.index(length)] = *byte);
            for bytes in [&bytes[..], &bytes[..cut.index(length)]] {
                let _ = l0_data::arrays::parse(bytes, path);
                if let Ok(table) = l0_data::table::parse_csv(bytes, path) {
                    let _ = table.load();
                }
            }
        }
    }
}
