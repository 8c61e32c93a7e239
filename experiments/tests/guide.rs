//! What the documentation tells people to type is held against the programs that are there.
#![allow(missing_docs)]

mod common;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// README.md and every page below docs/.
fn pages() -> Vec<PathBuf> {
    [vec![root().join("README.md")], pages_below(root().join("docs"))].concat()
}

/// Every page below a folder; of folders that programs make or that are hidden nothing.
fn pages_below(folder: PathBuf) -> Vec<PathBuf> {
    let (mut pages, mut open) = (Vec::new(), vec![folder]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match path.is_dir() {
                true if name.starts_with('.')
                    || ["target", "results", "shared", "venv", "node_modules"].contains(&name.as_str()) => {}
                true => open.push(path),
                false if name.ends_with(".md") => pages.push(path),
                false => {}
            }
        }
    }
    pages
}

/// What a link calls the headings of a page: small letters, a dash for each space, and no other sign.
fn anchors(page: &str) -> Vec<String> {
    let (mut anchors, mut is_code) = (Vec::new(), false);
    for line in page.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if !is_code && line.starts_with('#') {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|&c| c.is_alphanumeric() || " -_".contains(c));
            anchors.push(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    anchors
}

/// The lines of the shell blocks of a page, without comments and redirections.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut is_shell = false;
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            is_shell = language == "sh";
        } else if is_shell {
            let command = line.split(" #").next().unwrap_or_default().split(" > ").next().unwrap_or_default().trim();
            commands.extend((!command.is_empty() && !command.starts_with('#')).then(|| command.to_string()));
        }
    }
    commands
}

/// The program that a recipe of the justfile runs, if it runs one of ours with the arguments it is given.
fn program(justfile: &str, recipe: &str) -> Option<String> {
    let header =
        |line: &&str| line.split([' ', ':']).next() == Some(recipe) && line.contains(':') && !line.contains(":=");
    let mut lines = justfile.lines().skip_while(|line| !header(line));
    assert!(lines.next().is_some(), "the justfile has no recipe {recipe:?}");
    let body: Vec<&str> = lines.take_while(|line| line.starts_with("    ")).collect();
    let words: Vec<&str> = body.iter().flat_map(|line| line.split_whitespace()).collect();
    match words.iter().position(|word| *word == "--bin") {
        Some(at) => Some(words[at + 1].to_string()),
        None => words.contains(&"quickstart").then(|| "quickstart".to_string()),
    }
}

/// Checks that a program takes these arguments: it says its help only if it understood all that stood before.
fn parses(program: &str, args: &[&str], command: &str) {
    let output = common::program(program).args(args).arg("--help").output().unwrap();
    assert!(output.status.success(), "`{command}` is not understood by {program}:\n{}", common::said(&output));
}

#[test]
fn every_command_in_the_documentation_is_understood() {
    let justfile = read(&root().join("justfile"));
    let mut checked = 0;
    for page in pages() {
        for command in commands(&read(&page)) {
            let words: Vec<&str> = command.split_whitespace().collect();
            match words.as_slice() {
                ["just", recipe, args @ ..] => match program(&justfile, recipe) {
                    Some(program) => parses(&program, args, &command),
                    None => assert!(args.is_empty() || justfile.contains(&format!("\n{recipe} ")), "`{command}`"),
                },
                ["cargo", "quickstart", args @ ..] => parses("quickstart", args, &command),
                ["cargo", "run", .., "--example", example] => {
                    let found = ["l0", "net", "data", "record", "infer"]
                        .iter()
                        .any(|name| root().join(format!("crates/{name}/examples/{example}.rs")).exists());
                    assert!(found, "{}: there is no example {example}", page.display());
                }
                ["cargo", "test" | "install" | "build" | "+nightly", ..] | ["just"] => {}
                [path, args @ ..] if path.starts_with("target/release/") => {
                    parses(&path["target/release/".len()..], args, &command);
                }
                _ => panic!("{}: {command:?} is no command that this test knows", page.display()),
            }
            checked += 1;
        }
    }
    assert!(checked > 25, "only {checked} commands were found");
}

/// Links between pages, to a heading too, and to files of the repository, lead somewhere.
#[test]
fn every_link_in_the_documentation_leads_somewhere() {
    for page in pages_below(root()) {
        let text = read(&page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (target, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = if target.is_empty() { page.clone() } else { page.parent().unwrap().join(target) };
            assert!(path.exists(), "{}: {link} leads nowhere", page.display());
            let is_page = path.extension().is_some_and(|extension| extension == "md");
            let is_there = heading.is_empty() || !is_page || anchors(&read(&path)).iter().any(|found| found == heading);
            assert!(is_there, "{}: {link} is no heading there", page.display());
        }
    }
}

#[test]
fn every_chapter_is_in_the_summary_and_its_code_is_tested() {
    let guide = root().join("docs/guide");
    let summary = read(&guide.join("SUMMARY.md"));
    let tested = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"));
    for page in pages().into_iter().filter(|page| page.starts_with(&guide)) {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name == "SUMMARY.md" || summary.contains(&format!("({name})")), "{name} is not in the summary");
        let has_code = read(&page).contains("```rust");
        assert!(!has_code || tested.contains(&format!("docs/guide/{name}")), "the code of {name} is not tested");
    }
}
