//! The actors of a container, spoken to through named pipes that were opened before any rule was in force.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

use super::world::ACTORS;

/// How long one act may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Their ends of the pipes.
#[derive(Debug)]
pub struct Actors {
    pipes: Vec<(File, BufReader<File>)>,
}

impl Actors {
    /// Waits for those of the container's own, which make the pipes of all, has the others started, and greets each.
    /// `root` is the container's root directory as the test sees it.
    pub fn meet(root: &Path, start_session: impl FnOnce() -> Result<()>) -> Result<Actors> {
        let folder = root.join("world/run");
        await_entry(&folder, "ready")?;
        start_session()?;
        let open = |actor: usize, end: &str| {
            let path = folder.join(format!("{actor}.{end}"));
            // For both, so that opening does not wait (fifo(7)).
            File::options()
                .read(true)
                .write(true)
                .open(&path)
                .with_context(|| format!("cannot open {}", path.display()))
        };
        let pipes =
            (0..ACTORS.len()).map(|actor| Ok((open(actor, "in")?, BufReader::new(open(actor, "out")?))));
        let mut actors = Actors { pipes: pipes.collect::<Result<_>>()? };
        for actor in 0..ACTORS.len() {
            let answer = actors.tell(actor, "read\t/dev/null")?;
            ensure!(answer == 0, "actor {actor} answers {answer}");
        }
        Ok(actors)
    }

    /// Has an actor do one thing: the errno, or the signal that killed it, negative.
    pub fn tell(&mut self, actor: usize, line: &str) -> Result<i32> {
        let (to, from) = self.pipes.get_mut(actor).context("no such actor")?;
        to.write_all(format!("{line}\n").as_bytes())?;
        ensure!(readable(from.get_ref())?, "actor {actor} does not answer to {line:?}");
        let mut answer = String::new();
        from.read_line(&mut answer)?;
        answer.trim().parse().with_context(|| format!("actor {actor} answers {answer:?}"))
    }
}

fn readable(file: &File) -> Result<bool> {
    let limit = Timespec { tv_sec: LIMIT.as_secs().try_into()?, tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&limit))? > 0)
}

fn await_entry(folder: &Path, name: &str) -> Result<()> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, folder, inotify::WatchFlags::CREATE)
        .with_context(|| format!("cannot watch {}", folder.display()))?;
    let watch = File::from(watch);
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(&watch, &mut buffer);
    while !folder.join(name).exists() {
        ensure!(readable(&watch)?, "the container's first process makes no {name}");
        events.next()?;
    }
    Ok(())
}
