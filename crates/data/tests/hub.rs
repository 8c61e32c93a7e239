//! The Hub as a user meets it, well and badly, played by a server on the loopback interface.
#![cfg(feature = "hub")]

mod common;

use common::server::{Fault, Server};
use l0_data::hub::{Holds, HubFile, fetch};
use l0_data::{Benchmark, Error, Progress, Silent, Source, download, load};
use l0_files::sha256;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;

const NAME: &str = "someone/pictures/train/0000.parquet";

/// Bytes of a file, large enough to come in many pieces.
fn content() -> Vec<u8> {
    (0..300_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

struct Case {
    server: Server,
    cache: TempDir,
    source: Source,
    file: HubFile,
}

impl Case {
    fn new(fault: Fault) -> Self {
        let bytes = content();
        let digest = sha256(&bytes);
        let server = Server::start(&[(NAME, &digest, &bytes)]).with(fault);
        let cache = tempfile::tempdir().unwrap();
        let source = Source {
            endpoint: Some(server.endpoint.clone()),
            cache: Some(cache.path().to_path_buf()),
            patience: Duration::from_secs(10),
            ..Source::default()
        };
        let file = HubFile {
            holds: Holds::Data,
            repo: "someone/pictures".into(),
            path: "train/0000.parquet".into(),
            sha256: Some(digest),
        };
        Self { server, cache, source, file }
    }

    fn fetch(&self) -> Result<PathBuf, Error> {
        fetch(&self.file, &self.source, &Silent).map(|file| file.path)
    }

    fn arrives(&self) {
        assert_eq!(std::fs::read(self.fetch().unwrap()).unwrap(), content());
    }

    fn fails(&self, reason: &str) {
        let error = self.fetch().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.contains("someone") && error.contains("name a folder"), "{error}");
        self.nothing_to_trust();
    }

    /// Neither a blob nor a pointer is left, whatever else is.
    fn nothing_to_trust(&self) {
        for file in files(self.cache.path()) {
            let trusted = |folder: &str| file.components().any(|part| part.as_os_str() == folder);
            let whole = trusted("blobs") && file.extension().is_none();
            assert!(!whole && !trusted("snapshots"), "{} was left", file.display());
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let each = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(|entry| each(entry.path())).collect()
}

#[test]
fn what_was_fetched_once_is_not_fetched_again() {
    let mut case = Case::new(Fault::None);
    case.arrives();
    let requests = case.server.requests();
    case.arrives();
    case.source.offline = true;
    case.arrives();
    assert_eq!((case.server.requests(), case.server.sent()), (requests, content().len()));
}

#[test]
fn a_cut_download_goes_on_where_it_was_cut() {
    let case = Case::new(Fault::Cut);
    case.arrives();
    assert_eq!(case.server.sent(), content().len());
    assert_eq!(files(&case.cache.path().join("datasets--someone--pictures/blobs")).len(), 1);
}

#[test]
fn a_server_that_sends_nothing_is_given_up() {
    Case::new(Fault::Empty).fails("the connection was cut after 0 of 1200000 bytes (4 attempts)");
}

/// A link out of the cache, as somebody sets one who has the file already, or thinks so.
#[cfg(unix)]
#[test]
fn a_file_outside_of_the_cache_is_never_removed() {
    let mut case = Case::new(Fault::None);
    let link = case.fetch().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let mine = outside.path().join("mine.parquet");
    std::fs::write(&mine, "years of work").unwrap();
    std::fs::remove_dir_all(case.cache.path().join("datasets--someone--pictures/blobs")).unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&mine, &link).unwrap();
    case.source.offline = true;
    let error = case.fetch().unwrap_err().to_string();
    assert!(error.contains("offline nothing is removed: go online to fetch it again"), "{error}");
    assert_eq!(std::fs::read_link(&link).unwrap(), mine);
    case.source.offline = false;
    case.arrives();
    assert_eq!(std::fs::read(&mine).unwrap(), b"years of work");
}

#[test]
fn wrong_bytes_are_not_kept() {
    let case = Case::new(Fault::Corrupt);
    case.fails(&format!("expected sha256 {}, found ", sha256(&content())));
    case.server.set(Fault::None);
    case.arrives();
}

#[test]
fn another_file_than_the_known_one_is_not_kept() {
    let mut case = Case::new(Fault::None);
    case.file.sha256 = Some(sha256(b"another"));
    case.fails("expected sha256");
}

#[test]
fn a_sound_file_of_another_version_stays_for_others() {
    let mut case = Case::new(Fault::None);
    let path = case.fetch().unwrap();
    case.file.sha256 = Some(sha256(b"another"));
    for offline in [false, true] {
        case.source.offline = offline;
        let error = case.fetch().unwrap_err().to_string();
        assert!(error.contains("another version of the file"), "{error}");
        assert!(path.exists());
    }
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let mut case = Case::new(Fault::Mute);
    case.source.patience = Duration::from_millis(700);
    case.fails("nothing came for 0.7 s after 0 bytes");
}

#[test]
fn without_a_known_digest_the_servers_word_counts() {
    let mut case = Case::new(Fault::Corrupt);
    case.file.sha256 = None;
    case.fails(&format!("expected sha256 {}", sha256(&content())));
    case.server.set(Fault::None);
    case.arrives();
}

#[test]
fn a_busy_server_is_asked_again() {
    Case::new(Fault::Busy(2)).arrives();
}

#[test]
fn a_server_that_stays_busy_is_given_up() {
    Case::new(Fault::Busy(1000)).fails("the server answered 503 Service Unavailable");
}

#[test]
fn a_missing_file_is_named() {
    let case = Case::new(Fault::Missing);
    case.fails(&format!(
        "cannot fetch {NAME} from {}: the server does not have it",
        case.source.endpoint.as_ref().unwrap()
    ));
    case.server.set(Fault::None);
    case.arrives();
}

#[test]
fn an_error_page_is_not_taken_for_the_file() {
    Case::new(Fault::ErrorPage).fails("received 17 bytes instead of 1200000");
}

#[test]
fn a_download_that_stands_still_ends() {
    let mut case = Case::new(Fault::Stall);
    case.source.patience = Duration::from_millis(700);
    case.fails("nothing came for 0.7 s after 600000 bytes");
    case.server.set(Fault::None);
    case.arrives();
}

#[test]
fn without_a_server_an_error_says_what_to_do() {
    let mut case = Case::new(Fault::None);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    case.source.endpoint = Some(format!("http://{port}"));
    case.source.patience = Duration::from_secs(2);
    case.fails("HF_ENDPOINT");
    case.source.endpoint = Some("no address".into());
    case.fails("relative URL without a base");
}

/// The cache's file system refuses: the message says so, and nothing of the server.
fn cache_refuses(case: &Case, parts: &[&str]) {
    let error = case.fetch().unwrap_err().to_string();
    let cache = case.source.cache.as_ref().unwrap().display().to_string();
    for part in [NAME, cache.as_str(), "HF_HOME", "name a folder"].iter().chain(parts) {
        assert!(error.contains(part), "expected {part:?} in {error:?}");
    }
    assert!(!error.contains(&case.server.endpoint), "{error}");
}

#[test]
fn a_cache_that_is_a_file_is_named() {
    let mut case = Case::new(Fault::None);
    let home = case.cache.path().join("home");
    std::fs::write(&home, "a file").unwrap();
    case.source.cache = Some(home.join("hub"));
    let said = format!("{} is not a folder", home.display());
    for offline in [false, true] {
        case.source.offline = offline;
        cache_refuses(&case, &["cannot look for", &said]);
    }
    assert_eq!(case.server.requests(), 0);
}

#[test]
fn a_file_in_the_place_of_a_folder_of_the_cache_is_named() {
    for (folder, action) in [("datasets--someone--pictures/refs", "look for"), (".locks", "store")] {
        let case = Case::new(Fault::None);
        let path = case.cache.path().join(folder);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "a file").unwrap();
        cache_refuses(&case, &[&format!("cannot {action} "), &format!("{} is not a folder", path.display())]);
        std::fs::remove_file(&path).unwrap();
        case.arrives();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_not_blamed_on_the_server() {
    let case = Case::new(Fault::None);
    let blobs = case.cache.path().join("datasets--someone--pictures/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let arriving = blobs.join(format!("{}.incomplete", sha256(&content())));
    std::os::unix::fs::symlink("/dev/full", &arriving).unwrap();
    cache_refuses(&case, &["cannot store", "No space left on device", "make room there"]);
    std::fs::remove_file(&arriving).unwrap();
    case.arrives();
}

#[cfg(unix)]
#[test]
fn a_missing_permission_is_not_blamed_on_the_server() {
    use std::os::unix::fs::PermissionsExt;
    let case = Case::new(Fault::None);
    let allow = |mode| std::fs::set_permissions(case.cache.path(), PermissionsExt::from_mode(mode)).unwrap();
    allow(0o555);
    if std::fs::write(case.cache.path().join("probe"), "").is_ok() {
        println!("skipped: this user may write anywhere");
        return;
    }
    cache_refuses(&case, &["cannot store", "Permission denied", "may write"]);
    allow(0o755);
    case.arrives();
}

#[test]
fn offline_only_the_cache_counts() {
    let mut case = Case::new(Fault::None);
    case.source.offline = true;
    case.fails("go online once");
    assert_eq!(case.server.requests(), 0);
}

#[test]
fn a_file_that_rots_in_the_cache_is_fetched_anew() {
    let mut case = Case::new(Fault::None);
    let rot = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[1000] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    rot(&case.fetch().unwrap());
    case.arrives();
    let path = case.fetch().unwrap();
    rot(&path);
    case.source.offline = true;
    let error = case.fetch().unwrap_err().to_string();
    assert!(error.contains("expected sha256") && error.contains("offline nothing is removed"), "{error}");
    assert!(path.exists());
}

#[derive(Default)]
struct Tally(Mutex<(u64, u64)>);

impl Progress for Tally {
    fn start(&self, _: &str, bytes: u64, done: u64) {
        *self.0.lock().unwrap() = (done, bytes);
    }
    fn advance(&self, bytes: u64) {
        self.0.lock().unwrap().0 += bytes;
    }
    fn finish(&self) {}
}

#[test]
fn progress_reaches_the_end() {
    for fault in [Fault::None, Fault::Cut] {
        let (case, tally) = (Case::new(fault), Tally::default());
        fetch(&case.file, &case.source, &tally).unwrap();
        assert_eq!(*tally.0.lock().unwrap(), (1_200_000, 1_200_000));
    }
}

#[test]
fn a_data_set_comes_whole() {
    let rows = |n: i64| -> Vec<_> { (0..n).map(|i| (Some(common::colour_picture(i as u8)), i * 7 % 100)).collect() };
    let parts = [("train", common::cifar100(&rows(23))), ("test", common::cifar100(&rows(4)))];
    let names = parts.each_ref().map(|(part, _)| format!("uoft-cs/cifar100/cifar100/{part}/0000.parquet"));
    let digests = parts.each_ref().map(|(_, bytes)| sha256(bytes));
    let file = |i: usize| (names[i].as_str(), digests[i].as_str(), parts[i].1.as_slice());
    let server = Server::start(&[file(0), file(1)]);
    let cache = tempfile::tempdir().unwrap();
    let mut source = Source {
        endpoint: Some(server.endpoint.clone()),
        cache: Some(cache.path().to_path_buf()),
        ..Source::default()
    };
    let data = load(Benchmark::Cifar100, &source, &Silent).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.train.shape()), (23, 4, (3, 32, 32)));
    assert_eq!(data.train.labels()[22], 22 * 7 % 100);
    // Red is the row, green the column, blue the number of the picture.
    let picture = data.train.image(22);
    assert_eq!((picture[5 * 32 + 9], picture[1024 + 5 * 32 + 9], picture[2048]), (5, 9, 22));
    assert_eq!([&data.files[0].sha256, &data.files[1].sha256], [&digests[0], &digests[1]]);
    source.offline = true;
    assert_eq!(download(Benchmark::Cifar100, &source, &Silent).unwrap(), data.files);
}

#[test]
fn networks_come_as_data_does() {
    let content = content();
    let digest = sha256(&content);
    let server = Server::start(&[("someone/nets/onnx/model.onnx", &digest, &content)]);
    let cache = tempfile::tempdir().unwrap();
    let source = Source {
        endpoint: Some(server.endpoint.clone()),
        cache: Some(cache.path().to_path_buf()),
        ..Source::default()
    };
    let file = HubFile::of_network("someone/nets/onnx/model.onnx").unwrap();
    let path = fetch(&file, &source, &Silent).unwrap().path;
    assert_eq!(std::fs::read(&path).unwrap(), content);
    assert!(path.starts_with(cache.path().join("models--someone--nets")));
    let offline = Source { offline: true, ..source.clone() };
    assert_eq!(fetch(&file, &offline, &Silent).unwrap().path, path);
    let missing = HubFile::of_network("someone/nets/other.onnx").unwrap();
    assert!(fetch(&missing, &source, &Silent).unwrap_err().to_string().contains("someone/nets/other.onnx"));
    for wrong in ["model.onnx", "someone/model.onnx", "someone//model.onnx", "someone/nets/"] {
        let error = HubFile::of_network(wrong).unwrap_err().to_string();
        assert!(error.contains("expected owner/name/file.onnx"), "{error}");
    }
}
