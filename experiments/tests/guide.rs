//! What the documentation tells people to type is held against the programs that are there.
#![allow(missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// README.md and every page below docs/.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    let mut open = vec![root().join("docs")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false if path.extension().is_some_and(|extension| extension == "md") => pages.push(path),
                false => {}
            }
        }
    }
    pages
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
    let mut path = std::env::current_exe().unwrap();
    path.pop(); // deps
    path.pop();
    let output = Command::new(path.join(program)).args(args).arg("--help").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{command}` is not understood by {program}:\n{said}");
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

/// Links between pages, and to files of the repository, lead somewhere.
#[test]
fn every_link_in_the_documentation_leads_somewhere() {
    for page in pages() {
        let text = read(&page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = page.parent().unwrap().join(target);
            assert!(path.exists(), "{}: {link} leads nowhere", page.display());
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
