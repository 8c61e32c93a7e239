use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// Bodies have wrong bytes.
    Corrupt,
    /// Every body ends half way.
    Cut,
    /// Every body ends before it begins.
    Empty,
    /// Every body stands still half way.
    Stall,
    /// Requests are taken and never answered.
    Mute,
    /// There is no file.
    Missing,
    /// This many requests are answered by 503.
    Busy(usize),
    /// The file is there when asked about, and an error page when fetched.
    ErrorPage,
}

#[derive(Debug, Default)]
struct State {
    fault: Fault,
    files: HashMap<String, (String, Vec<u8>)>,
    requests: usize,
    sent: usize,
}

/// A stand-in for the Hub on the loopback interface. It answers one request per connection.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Serves `files`: repository and path, sha256, bytes.
    pub(crate) fn start(files: &[(&str, &str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let file =
            |(name, sha256, bytes): &(&str, &str, &[u8])| (name.to_string(), (sha256.to_string(), bytes.to_vec()));
        let files = files.iter().map(file).collect();
        let state = Arc::new(Mutex::new(State { files, ..State::default() }));
        let server = Self { endpoint, state };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                std::thread::spawn(move || server.answer(stream));
            }
        });
        server
    }

    pub(crate) fn with(self, fault: Fault) -> Self {
        self.set(fault);
        self
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    /// Bytes of bodies.
    pub(crate) fn sent(&self) -> usize {
        self.state.lock().unwrap().sent
    }

    fn answer(&self, mut stream: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
        let request = lines.next()?.ok()?;
        let headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let head = request.starts_with("HEAD");
        let path = request.split(' ').nth(1)?.replace("%2F", "/");
        if let Some(listed) = path.strip_prefix("/api/datasets/").and_then(|path| self.listed(path)) {
            return reply(&mut stream, "200 OK", "Content-Type: application/json\r\n", listed.as_bytes(), head);
        }
        let (fault, file) = self.look_up(&path);
        let Some((sha256, bytes)) = file.filter(|_| fault != Fault::Missing) else {
            return reply(&mut stream, "404 Not Found", "X-Error-Code: EntryNotFound\r\n", b"none", head);
        };
        if fault == Fault::Mute {
            std::thread::sleep(Duration::from_secs(60));
            return None;
        }
        if matches!(fault, Fault::Busy(_)) {
            return reply(&mut stream, "503 Service Unavailable", "", b"busy", head);
        }
        if fault == Fault::ErrorPage && !head {
            return reply(&mut stream, "404 Not Found", "", b"<html>gone</html>", head);
        }
        let from = range_start(&headers);
        let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
        let body = &bytes[from.unwrap_or(0).min(bytes.len())..];
        let size = body.len();
        let about = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {size}\r\nETag: \"{sha256}\"\r\nX-Linked-Etag: \"{sha256}\"\r\n\
             X-Linked-Size: {}\r\nX-Repo-Commit: {}\r\nConnection: close\r\n\r\n",
            bytes.len(),
            "c0ffee".repeat(7).split_at(40).0
        );
        stream.write_all(about.as_bytes()).ok()?;
        if !head {
            self.send(&mut stream, body, fault);
        }
        Some(())
    }

    /// What the Hub says of a data set, its files above all.
    fn listed(&self, path: &str) -> Option<String> {
        let repo = path.split("/revision/").next()?;
        let mut state = self.state.lock().unwrap();
        state.requests += 1;
        let names = state.files.keys().filter_map(|name| name.strip_prefix(repo)?.strip_prefix('/'));
        let files: Vec<String> = names.map(|name| format!("{{\"rfilename\":\"{name}\"}}")).collect();
        (!files.is_empty()).then(|| format!("{{\"id\":\"{repo}\",\"siblings\":[{}]}}", files.join(",")))
    }

    fn look_up(&self, path: &str) -> (Fault, Option<(String, Vec<u8>)>) {
        let mut state = self.state.lock().unwrap();
        state.requests += 1;
        let fault = state.fault;
        if let Fault::Busy(times) = fault {
            state.fault = if times > 1 { Fault::Busy(times - 1) } else { Fault::None };
        }
        let name = path.trim_start_matches("/datasets/").trim_start_matches('/');
        let name = name.replace("/resolve/refs/convert/parquet", "").replace("/resolve/main", "");
        (fault, state.files.get(&name).cloned())
    }

    fn send(&self, stream: &mut TcpStream, body: &[u8], fault: Fault) {
        let corrupt: Vec<u8>;
        let body = match fault {
            Fault::Corrupt => {
                corrupt = body.iter().map(|byte| byte ^ 0x5a).collect();
                &corrupt
            }
            // As if a network packet were the least that arrives.
            Fault::Cut | Fault::Stall if body.len() > 100 => &body[..body.len() / 2],
            Fault::Empty => &[],
            _ => body,
        };
        let _ = stream.write_all(body).and_then(|()| stream.flush());
        self.state.lock().unwrap().sent += body.len();
        if fault == Fault::Stall {
            std::thread::sleep(Duration::from_secs(60));
        }
    }
}

fn reply(stream: &mut TcpStream, status: &str, more: &str, body: &[u8], head: bool) -> Option<()> {
    let size = body.len();
    let about = format!("HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{more}Connection: close\r\n\r\n");
    stream.write_all(about.as_bytes()).ok()?;
    if head { Some(()) } else { stream.write_all(body).ok() }
}

fn range_start(headers: &[String]) -> Option<usize> {
    let lower = headers.iter().map(|line| line.to_ascii_lowercase());
    let range = lower.into_iter().find_map(|line| line.strip_prefix("range: bytes=").map(str::to_string))?;
    range.split('-').next()?.parse().ok()
}
