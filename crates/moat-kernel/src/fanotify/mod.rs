pub struct FilePermissions;
impl std::fmt::Debug for FilePermissions { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("") } }
pub trait RuntimeTasks: Send + Sync { }
impl RuntimeTasks for crate::guard::Tasks {}
impl FilePermissions {
    pub fn new(_s: crate::Sink, _t: std::sync::Arc<dyn RuntimeTasks>) -> Result<Self, std::io::Error> { Ok(Self) }
    pub fn apply(&mut self, _s: &crate::ContainerScope, _r: &std::sync::Arc<moat_policy::RuleSet>, _i: &std::sync::Arc<moat_policy::RuleIndex>) -> Result<(), crate::ApplyError> { Ok(()) }
    pub fn release(&mut self, _c: u64) {}
    pub fn losses(&self) -> Vec<moat_event::Loss> { Vec::new() }
}
