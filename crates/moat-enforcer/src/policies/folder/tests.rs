use std::os::unix::fs::symlink;

use super::*;

fn policy(name: &str, executable: &str) -> String {
    format!(
        "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: {{ name: {name} }}\nspec:\n  rules:\n  \
         - {{ name: r, action: Block, process: {{ names: [{executable}] }} }}\n"
    )
}

struct Files {
    directory: tempfile::TempDir,
    folder: Folder,
}

impl Files {
    fn new() -> Files {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path().to_owned());
        Files { directory, folder }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.directory.path().join(name), content).unwrap();
    }

    /// `policy=executable@file` of each, and the diagnostics, all without the folder's own path.
    fn scan(&mut self) -> (Vec<String>, Vec<String>) {
        self.folder.scan();
        let mut contents = Contents::default();
        self.folder.add_to(&mut contents);
        let file = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let policies = contents.runtime.iter().map(|(name, (policy, path))| {
            let executable = &policy.spec.rules[0].process.as_ref().unwrap().names[0];
            format!("{name}={executable}@{}", file(path))
        });
        let folder = self.directory.path().display().to_string();
        let refused = contents.refused.iter().map(|refused| refused.diagnostic.replace(&folder, "DIR"));
        (policies.collect(), refused.collect())
    }
}

#[test]
fn a_broken_file_leaves_its_last_good_content_in_force_until_it_is_removed() {
    let mut files = Files::new();
    files.write("a.yaml", policy("a", "sh"));
    files.write("b.yml", policy("b", "bash"));
    files.write("notes.txt", "nothing of ours");
    files.write(".a.yaml.swp.yaml", "half: [written");
    assert_eq!(files.scan(), (vec!["a=sh@a.yaml".into(), "b=bash@b.yml".into()], vec![]));

    files.write("a.yaml", policy("a", "zsh").replace("action: Block", "akshun: Block"));
    let (policies, refused) = files.scan();
    assert_eq!(policies, ["a=sh@a.yaml", "b=bash@b.yml"]);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].starts_with("DIR/a.yaml:6:"), "{refused:?}");
    assert!(refused[0].contains("akshun"), "{refused:?}");

    files.write("a.yaml", policy("a", "zsh"));
    assert_eq!(files.scan(), (vec!["a=zsh@a.yaml".into(), "b=bash@b.yml".into()], vec![]));

    fs::remove_file(files.directory.path().join("a.yaml")).unwrap();
    assert_eq!(files.scan(), (vec!["b=bash@b.yml".into()], vec![]));
}

#[test]
fn of_two_policies_of_one_name_the_first_files_is_in_force() {
    let mut files = Files::new();
    files.write("2.yaml", policy("same", "second"));
    files.write("1.yaml", policy("same", "first"));
    let (policies, refused) = files.scan();
    assert_eq!(policies, ["same=first@1.yaml"]);
    assert_eq!(
        refused,
        ["DIR/2.yaml: a policy named `same` stands in DIR/1.yaml already; rename one of them"]
    );
    fs::remove_file(files.directory.path().join("1.yaml")).unwrap();
    assert_eq!(files.scan(), (vec!["same=second@2.yaml".into()], vec![]));
}

#[test]
fn what_is_no_policy_file_is_refused_and_blocks_nothing() {
    let mut files = Files::new();
    files.write("binary.yaml", [0xff, 0xfe, 0x00]);
    files.write("good.yaml", policy("good", "sh"));
    symlink("/nowhere", files.directory.path().join("link.yaml")).unwrap();
    symlink("/dev/zero", files.directory.path().join("zero.yaml")).unwrap();
    let (policies, refused) = files.scan();
    assert_eq!(policies, ["good=sh@good.yaml"]);
    let files: Vec<_> = refused.iter().filter_map(|refused| refused.split(':').next()).collect();
    assert_eq!(files, ["DIR/binary.yaml", "DIR/link.yaml", "DIR/zero.yaml"]);
}

#[test]
fn a_folder_that_is_gone_takes_no_policy_with_it() {
    let mut files = Files::new();
    files.write("a.yaml", policy("a", "sh"));
    files.scan();
    fs::rename(files.directory.path(), files.directory.path().with_extension("away")).unwrap();
    let (policies, refused) = files.scan();
    fs::rename(files.directory.path().with_extension("away"), files.directory.path()).unwrap();
    assert_eq!(policies, ["a=sh@a.yaml"]);
    assert!(refused[0].starts_with("DIR: cannot list the policy folder"), "{refused:?}");
    assert_eq!(files.scan(), (vec!["a=sh@a.yaml".into()], vec![]));
}
