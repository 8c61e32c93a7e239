//! Pictures of every kind in folders of every shape: what is read, what is skipped and said, and what is refused.

use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, codecs};
use l0_data::{DataSpec, Dataset, Feed, ImageFolder, Normalise, Picture, Silent, Source, Standing, load};
use proptest::prelude::*;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use tempfile::TempDir;

const CMYK: &[u8] = include_bytes!("pictures/cmyk.jpg");

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A colour picture: red grows with rows, green with columns, blue is the seed.
fn colour(h: u32, w: u32, seed: u8) -> DynamicImage {
    image::RgbImage::from_fn(w, h, |x, y| image::Rgb([(y * 255 / h) as u8, (x * 255 / w) as u8, seed])).into()
}

fn jpeg(h: u32, w: u32, seed: u8) -> Vec<u8> {
    encode(&colour(h, w, seed), ImageFormat::Jpeg)
}

fn write(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Two classes of `n` pictures each.
fn folder(n: u8) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..n {
        write(dir.path(), &format!("ants/{i}.jpg"), &jpeg(20, 30, i));
        write(dir.path(), &format!("bees/{i}.png"), &encode(&colour(40, 16, i), ImageFormat::Png));
    }
    dir
}

fn open(dir: &Path) -> Result<Dataset, String> {
    ImageFolder::open(dir).and_then(|folder| folder.resize(16).load(&Silent)).map_err(|error| error.to_string())
}

#[test]
fn class_folders_become_a_data_set() {
    let dir = folder(10);
    let data = ImageFolder::open(dir.path()).unwrap().resize(16).split(0.2, 3).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.train.shape()), (16, 4, (3, 16, 16)));
    assert_eq!(data.train.class_names(), ["ants", "bees"]);
    assert_eq!(data.test.labels(), [0, 0, 1, 1]);
    assert_eq!((data.caveat(), &data.notes[..]), (None, &[][..]));
    assert_eq!(data.choices, ["4 of 20 examples held out to test on: the data has none for that"]);
    let again = ImageFolder::open(dir.path()).unwrap().resize(16);
    assert_eq!(again.clone().split(0.2, 3).unwrap().digest().unwrap(), data.digest().unwrap());
    assert_ne!(again.split(0.2, 4).unwrap().digest().unwrap(), data.digest().unwrap());
    assert_eq!(data.normalise, Normalise::of(&data.train).unwrap());
    assert_eq!(data.files.len(), 1);
}

#[test]
fn parts_of_their_own_are_read_and_their_classes_have_to_agree() {
    for test in ["test", "val", "Valid"] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("photos of été");
        for i in 0..3 {
            write(&dir, &format!("train/ants/deeper down/{i}.jpg"), &jpeg(16, 16, i));
            write(&dir, &format!("train/bees/{i}.jpg"), &jpeg(16, 16, i));
            write(&dir, &format!("{test}/bees/{i}.jpg"), &jpeg(16, 16, i));
        }
        let spec: DataSpec = dir.to_str().unwrap().parse().unwrap();
        let data = load(spec, &Source::default(), &Silent).unwrap();
        assert_eq!((data.name.as_str(), data.train.len(), data.test.labels()), ("photos of été", 6, &[1, 1, 1][..]));
        assert!(data.choices.is_empty(), "{:?}", data.choices);
        assert!(
            data.notes[0] == "no test example of these classes, errors say nothing of them: ants",
            "{:?}",
            data.notes
        );
        let error = ImageFolder::open(&dir).unwrap().split(0.2, 1).unwrap_err().to_string();
        assert!(error.contains("has test pictures of its own"), "{error}");
        write(&dir, &format!("{test}/wasps/1.jpg"), &jpeg(16, 16, 1));
        let error = open(&dir).unwrap_err();
        assert!(
            error.contains("the class folder wasps, which training pictures have not; name the classes"),
            "{error}"
        );
    }
}

#[test]
fn a_test_without_a_train_is_no_class_and_what_lies_beside_both_is_said() {
    let dir = folder(3);
    let write_part = |part: &str| {
        for class in ["ants", "bees"] {
            write(dir.path(), &format!("{part}/{class}/1.jpg"), &jpeg(16, 16, 1));
        }
    };
    write_part("Test");
    let error = open(dir.path()).unwrap_err();
    let said = "a folder Test with folders of its own, as if to test on, and no folder train; put the class folders to \
                learn from into train";
    assert!(error.ends_with(said), "{error}");
    ["train", "val", "more"].into_iter().for_each(write_part);
    let data = open(dir.path()).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (2, 2));
    assert_eq!(data.notes, ["folders that are neither learnt from nor tested on: ants, bees, more, val"]);
    let tickets = tempfile::tempdir().unwrap();
    for i in 0..3 {
        write(tickets.path(), &format!("valid/{i}.jpg"), &jpeg(16, 16, i));
        write(tickets.path(), &format!("invalid/{i}.jpg"), &jpeg(16, 16, i));
    }
    assert_eq!(open(tickets.path()).unwrap().train.class_names(), ["invalid", "valid"]);
    let traffic = tempfile::tempdir().unwrap();
    for (class, i) in ["bus", "train", "__background__"].into_iter().flat_map(|class| [(class, 1), (class, 2)]) {
        write(traffic.path(), &format!("{class}/{i}.jpg"), &jpeg(16, 16, i));
    }
    assert_eq!(open(traffic.path()).unwrap().train.class_names(), ["__background__", "bus", "train"]);
}

#[test]
fn what_is_no_picture_is_skipped_counted_and_named() {
    let dir = folder(5);
    let whole = jpeg(64, 64, 9);
    write(dir.path(), "ants/notes.txt", b"some text");
    write(dir.path(), "ants/a gif.jpg", b"GIF89a and so on");
    write(dir.path(), "ants/cut.jpg", &whole[..whole.len() - 40]);
    // A film may follow a whole picture.
    write(
        dir.path(),
        "ants/motion.jpg",
        &[&jpeg(40, 40, 1)[..], b"\0\0\0\x18ftypmp42 \xff\xd9 \xff\xda and more"].concat(),
    );
    write(dir.path(), "bees/cut.png", &encode(&colour(16, 16, 1), ImageFormat::Png)[..60]);
    write(dir.path(), "bees/empty.png", b"");
    write(dir.path(), "bees/.hidden", b"x");
    write(dir.path(), ".ipynb_checkpoints/x.txt", b"x");
    write(dir.path(), "README.md", b"about these photographs");
    let data = open(dir.path()).unwrap();
    assert_eq!(data.train.len() + data.test.len(), 11);
    let note = &data.notes[0];
    assert!(note.starts_with("6 files skipped: "), "{note}");
    for said in [
        "README.md (in no class folder)",
        "notes.txt (no PNG",
        "a gif.jpg (a Gif file",
        "cut.jpg (a JPEG that is cut off)",
    ] {
        assert!(note.contains(said), "{said}: {note}");
    }
    assert!(note.contains("cut.png (") && note.contains("empty.png ("), "{note}");
    for i in 0..12 {
        write(dir.path(), &format!("bees/{i}.txt"), b"x");
    }
    let note = &open(dir.path()).unwrap().notes[0];
    assert!(note.starts_with("18 files skipped: ") && note.ends_with(", and 8 more"), "{note}");
}

#[test]
fn folders_that_are_no_data_set_are_refused_with_advice() {
    let dir = folder(2);
    fs::create_dir(dir.path().join("cats")).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(error.ends_with("cats: no file of this class; put some there, or move the folder away"), "{error}");
    write(dir.path(), "cats/1.jpg", b"no picture");
    let error = open(dir.path()).unwrap_err();
    assert!(error.contains("no picture of the class cats can be read; put some there"), "{error}");
    let error = open(&dir.path().join("ants")).unwrap_err();
    assert!(error.contains("no class folder, but 2 files; put the pictures of each class"), "{error}");
    fs::remove_dir_all(dir.path().join("cats")).unwrap();
    fs::remove_dir_all(dir.path().join("bees")).unwrap();
    assert!(open(dir.path()).unwrap_err().contains("one class folder alone, ants"));
    assert!(open(&dir.path().join("nothing")).unwrap_err().starts_with("cannot read the folder"));
}

/// Linux takes any bytes for a name; other systems refuse some.
#[cfg(target_os = "linux")]
#[test]
fn classes_whose_names_are_no_utf8_are_not_taken_for_one() {
    use std::os::unix::ffi::OsStrExt;
    let name = |bytes: &[u8]| std::ffi::OsStr::from_bytes(bytes).to_os_string();
    let dir = tempfile::tempdir().unwrap();
    for class in [&b"caf\xe9"[..], b"caf\xe8", b"tea"] {
        let class = dir.path().join(name(class));
        fs::create_dir(&class).unwrap();
        (0..3).for_each(|i| write(&class, &format!("{i}.jpg"), &jpeg(8, 8, i)));
    }
    let error = open(dir.path()).unwrap_err();
    assert!(error.contains(r#"a class folder "caf\xE8", whose name is not UTF-8; rename it in UTF-8"#), "{error}");
    // Nor in a part that is tested on; what lies within a class may be called anything.
    let whole = folder(4);
    let train = whole.path().join("train");
    fs::create_dir(&train).unwrap();
    for class in ["ants", "bees"] {
        fs::rename(whole.path().join(class), train.join(class)).unwrap();
    }
    fs::create_dir(train.join("ants").join(name(b"\xff"))).unwrap();
    open(whole.path()).unwrap();
    fs::create_dir_all(whole.path().join("test").join(name(b"ants\xff"))).unwrap();
    assert!(open(whole.path()).unwrap_err().contains(r#"a class folder "ants\xFF""#));
}

#[test]
fn pictures_of_different_sizes_need_one_to_be_chosen() {
    let dir = folder(3);
    let folder = || ImageFolder::open(dir.path()).unwrap();
    let error = folder().load(&Silent).unwrap_err().to_string();
    assert!(
        error.contains("has pictures of different sizes, ") && error.ends_with("choose the size of the images, as 64"),
        "{error}"
    );
    assert!(folder().resize(0).load(&Silent).is_err() && folder().resize(100_000).load(&Silent).is_err());
    // Smaller than the images: enlarged.
    assert_eq!(folder().resize(64).load(&Silent).unwrap().train.shape(), (3, 64, 64));
    fs::remove_dir_all(dir.path().join("bees")).unwrap();
    write(dir.path(), "bees/1.webp", &encode(&colour(20, 30, 7), ImageFormat::WebP));
    let data = folder().load(&Silent).unwrap();
    assert_eq!((data.train.shape(), data.train.labels()), ((3, 20, 30), &[0, 0, 1][..])); // the one bee is to learn from
    assert_eq!(folder().channels(1).load(&Silent).unwrap().train.shape(), (1, 20, 30));
}

#[test]
fn pictures_that_do_not_fit_are_decoded_as_batches_need_them_and_are_the_same() {
    let dir = folder(6);
    let of = |memory| ImageFolder::open(dir.path()).unwrap().resize(16).memory(memory).load(&Silent).unwrap();
    let (held, stored) = (of(1 << 30), of(1000));
    assert!(held.train.is_held() && !stored.train.is_held() && stored.train.images().is_empty());
    assert_eq!(held.digest().unwrap(), stored.digest().unwrap());
    assert_eq!((&held.normalise, held.test.len()), (&stored.normalise, stored.test.len()));
    let as_mnist =
        |data: &Dataset| Dataset::new("mnist", data.train.clone(), data.test.clone(), vec![]).unwrap().standing;
    assert_eq!(as_mnist(&stored), as_mnist(&held));
    assert!(matches!(as_mnist(&stored), Standing::Other { .. }));
    let batches = |data: &Dataset| -> Vec<Vec<f32>> {
        let feed = Feed::new(&data.train, data.normalise.clone(), 3, &candle_core::Device::Cpu).unwrap();
        let feed = feed.augment(Some(l0_data::Augment { pad: 2, flip: true })).unwrap();
        feed.epoch(1, 2).map(|batch| batch.unwrap().images.flatten_all().unwrap().to_vec1().unwrap()).collect()
    };
    assert_eq!(batches(&held), batches(&stored));
    let part = stored.train.split_off(2, 1).unwrap().1;
    assert_eq!(part.batch(&[0], &stored.normalise, None, &candle_core::Device::Cpu).unwrap().len(), 1);
    fs::remove_dir_all(dir.path().join("ants")).unwrap();
    let error = stored.train.batch(&[0], &stored.normalise, None, &candle_core::Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("expected the picture that was there when the data set was opened"), "{error}");
}

fn planes(bytes: &[u8], channels: usize) -> Vec<u8> {
    Picture::open(bytes).unwrap().planes(channels)
}

#[test]
fn pictures_of_every_kind_become_bytes() {
    use image::{GrayAlphaImage, ImageBuffer, Luma, RgbaImage};
    let wide = ImageBuffer::<Luma<u16>, _>::from_fn(2, 1, |x, _| Luma([[0x1234, 0xff00][x as usize]]));
    assert_eq!(planes(&encode(&wide.into(), ImageFormat::Png), 1), [0x12, 0xff]);
    let clear: DynamicImage = GrayAlphaImage::from_raw(2, 1, vec![50, 255, 10, 0]).unwrap().into();
    let picture = Picture::open(&encode(&clear, ImageFormat::Png)).unwrap();
    assert_eq!((picture.planes(3), picture.opacity()), (vec![50, 10, 50, 10, 50, 10], Some(&[255, 0][..])));
    assert!(picture.is_grey());
    // What is transparent is white in a data set.
    let see_through: DynamicImage = RgbaImage::from_raw(1, 1, vec![0, 0, 200, 0]).unwrap().into();
    assert_eq!(Picture::open(&encode(&see_through, ImageFormat::Png)).unwrap().fitted(3, 1).unwrap(), [255; 3]);
    let mut palette = Vec::new();
    let mut encoder = png::Encoder::new(&mut palette, 4, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Two);
    encoder.set_palette(vec![0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255]);
    encoder.write_header().unwrap().write_image_data(&[0b0001_1011]).unwrap();
    assert_eq!(planes(&palette, 3), [0, 255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 255]);
    assert_eq!(planes(&palette, 1), [0, 76, 149, 29]);
    let webp = encode(&colour(3, 5, 7), ImageFormat::WebP);
    assert_eq!((planes(&webp, 3)[30..].to_vec(), Picture::open(&webp).unwrap().size()), (vec![7; 15], (3, 5)));
}

#[test]
fn a_jpeg_in_inks_is_read_in_its_colours() {
    // Pillow 12: the left half (255, 0, 0), the right half (255, 255, 255).
    let found = planes(CMYK, 3);
    let at = |x: usize| [0, 1, 2].map(|k| found[k * 128 + 3 * 16 + x]);
    assert!(at(2).into_iter().zip([255, 0, 0]).all(|(a, b): (u8, u8)| a.abs_diff(b) < 4), "{:?}", at(2));
    assert!(at(12).into_iter().all(|value| value > 251), "{:?}", at(12));
}

/// A JPEG that says in its EXIF data how it is turned.
fn turned(image: &DynamicImage, orientation: u8) -> Vec<u8> {
    let tiff =
        [&b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..], &[orientation, 0, 0, 0, 0, 0, 0]].concat();
    let mut bytes = Vec::new();
    let encoder = codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder.write_image(image.as_bytes(), image.width(), image.height(), ExtendedColorType::Rgb8).unwrap();
    let segment = [&[0xff, 0xe1], &(2 + tiff.len() as u16).to_be_bytes()[..], &tiff].concat();
    [&bytes[..2], &segment, &bytes[2..]].concat()
}

#[test]
fn photographs_are_put_upright() {
    let image = colour(16, 32, 0);
    let upright = planes(&turned(&image, 1), 3);
    let near = |a: &[u8], b: &[u8]| a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) < 10);
    let red = |planes: &[u8], w: usize, y: usize, x: usize| planes[y * w + x];
    for (orientation, size, at) in [
        (3, (16, 32), [(15, 31), (0, 31)]), // half a turn: the first pixel comes last
        (6, (32, 16), [(0, 15), (0, 0)]),   // a quarter to the right: the first row becomes the last column
        (8, (32, 16), [(31, 0), (31, 15)]), // a quarter to the left
        (2, (16, 32), [(0, 31), (15, 31)]), // mirrored
    ] {
        let bytes = turned(&image, orientation);
        let picture = Picture::open(&bytes).unwrap();
        assert_eq!(picture.size(), size, "{orientation}");
        let found = picture.planes(3);
        for ((y, x), (from_y, from_x)) in at.into_iter().zip([(0, 0), (15, 0)]) {
            let expected = red(&upright, 32, from_y, from_x);
            assert!(near(&[red(&found, size.1, y, x)], &[expected]), "{orientation}");
        }
    }
}

#[test]
fn no_bomb_is_decoded() {
    // 60,000 x 60,000 grey pixels that need some hundred bytes each 10 MB: only the header is true.
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, 60_000, 60_000);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_chunk(png::chunk::IDAT, &[0x78, 0x9c, 0x03, 0, 0, 0, 0, 1]).unwrap();
    drop(writer);
    let error = Picture::open(&png).unwrap_err();
    assert_eq!(error, "60000x60000 pixels, which take more than 512 MiB to decode");
    let mut jpeg = jpeg(16, 16, 0);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert!(Picture::open(&jpeg).unwrap_err().starts_with("65535x65535 pixels"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        kind in 0usize..3, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let format = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP][kind];
        let mut bytes = encode(&colour(9, 7, 3), format);
        let length = bytes.len();
        changes.iter().for_each(|(at, byte)| bytes[at.index(length)] = *byte);
        for bytes in [&bytes[..], &bytes[..cut.index(length)]] {
            if let Ok(picture) = Picture::open(bytes) {
                prop_assert_eq!(picture.fitted(3, 4).unwrap().len(), 48);
            }
        }
    }
}
