//! What an event can be found by.

use moat_event::{Event, EventAction, EventType, Severity};

/// Of an event's words, this many bytes are searched.
const MAX_WORDS_BYTES: usize = 1024;
/// The beginnings of a word that are terms, in characters. A search looks up the longest one that it has.
const BEGINNINGS: [usize; 3] = [2, 4, 8];

/// A field whose values are terms.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Word,
    Type,
    Action,
    Severity,
    Namespace,
    Pod,
    Container,
    Workload,
    Policy,
    Rule,
    Node,
    Enforcer,
}

/// FNV-1a, 64 bits. Terms that collide only make a search read a block in vain.
pub(super) fn term(field: Field, value: &str) -> i64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ field as u64;
    hash = hash.wrapping_mul(0x100_0000_01b3);
    for byte in value.as_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash.cast_signed()
}

pub(super) fn severity_term(severity: Severity) -> i64 {
    term(Field::Severity, severity.name())
}

/// The words of a text, in lower case, each after a space: ` etc passwd` of `/etc/passwd`.
fn add_words(words: &mut String, text: &str) {
    let mut inside = false;
    for character in text.chars() {
        if words.len() >= MAX_WORDS_BYTES {
            return;
        }
        // Most are ASCII, of which a table of Unicode need not be asked.
        let ascii = character.is_ascii();
        let alphanumeric =
            if ascii { character.is_ascii_alphanumeric() } else { character.is_alphanumeric() };
        if alphanumeric {
            if !inside {
                words.push(' ');
            }
            if ascii {
                words.push(character.to_ascii_lowercase());
            } else {
                words.extend(character.to_lowercase());
            }
        }
        inside = alphanumeric;
    }
}

/// All that can be searched for by words.
pub(super) fn words(event: &Event, workload: Option<&str>) -> String {
    let mut words = String::with_capacity(MAX_WORDS_BYTES / 2);
    let mut add = |text: &str| add_words(&mut words, text);
    let optional = [
        &event.policy_name,
        &event.rule,
        &event.namespace,
        &event.pod_name,
        &event.container_name,
        &event.image,
        &event.file_path,
        &event.syscall,
        &event.capability,
    ];
    optional.into_iter().flatten().for_each(|text| add(text));
    workload.into_iter().for_each(&mut add);
    add(&event.node);
    if let Some(peer) = &event.peer {
        add(&format!("{} {}", peer.address, peer.port));
    }
    if let Some(process) = &event.process {
        add(&process.executable);
        add(&process.parent);
        process.arguments.iter().for_each(|argument| add(argument));
    }
    add(&event.message);
    for (key, value) in &event.labels {
        add(key);
        add(value);
    }
    words
}

/// All terms of an event with these words, some more than once.
pub(super) fn of(event: &Event, words: &str, workload: Option<&str>, enforcer_id: &str) -> Vec<i64> {
    let mut terms: Vec<i64> = word_terms(words).collect();
    terms.extend([severity_term(event.severity), type_term(event.event_type), action_term(event.action)]);
    let fields = [
        (Field::Namespace, event.namespace.as_deref()),
        (Field::Pod, event.pod_name.as_deref()),
        (Field::Container, event.container_name.as_deref()),
        (Field::Workload, workload),
        (Field::Policy, event.policy_name.as_deref()),
        (Field::Rule, event.rule.as_deref()),
        (Field::Node, Some(event.node.as_str())),
        (Field::Enforcer, Some(enforcer_id)),
    ];
    terms.extend(fields.into_iter().filter_map(|(field, value)| Some(term(field, value?))));
    terms
}

/// The terms of the words that [`words`] made.
fn word_terms(words: &str) -> impl Iterator<Item = i64> {
    words.split(' ').flat_map(beginnings).map(|beginning| term(Field::Word, beginning))
}

/// What a search for `text` must find in an event's words: a phrase for each of its words.
pub(super) fn phrases(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| {
            let mut phrase = String::new();
            add_words(&mut phrase, word);
            phrase
        })
        .filter(|phrase| !phrase.is_empty())
        .collect()
}

/// The terms that every event with this phrase has. All words but the last are whole ones, and a word's longest indexed
/// beginning is the strongest of its terms.
pub(super) fn phrase_terms(phrase: &str) -> Vec<i64> {
    phrase
        .split(' ')
        .filter_map(|word| beginnings(word).last().map(|beginning| term(Field::Word, beginning)))
        .collect()
}

fn beginnings(word: &str) -> impl DoubleEndedIterator<Item = &str> {
    BEGINNINGS.into_iter().filter_map(|length| {
        let mut ends = word.char_indices().map(|(start, character)| start + character.len_utf8());
        ends.nth(length - 1).and_then(|end| word.get(..end))
    })
}

pub(super) fn type_term(event_type: EventType) -> i64 {
    term(Field::Type, &format!("{event_type:?}"))
}

pub(super) fn action_term(action: EventAction) -> i64 {
    term(Field::Action, &format!("{action:?}"))
}
