//! What a schema cannot say: ids that must differ, names that must exist, cycles, contradictions, expressions.
//!
//! Works on the text's tree and not on the types, so that one wrong type does not hide every other mistake.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::diagnostic::{Diagnostic, Report};
use super::expression::{self, Mistake};
use super::fields::{Fields, Place, node};
use super::json::{Document, Kind, NodeId};
use super::{CARRIED, MAX_SECONDS, Plan, order, waiting};

/// Names an expression may begin with.
const ROOTS: [&str; 4] = ["vars", "steps", "run", "env"];
/// Further names in a step with `foreach`.
const FOREACH_ROOTS: [&str; 2] = ["item", "index"];
/// What an expression finds under a step's name.
const STEP_FACTS: [&str; 5] = ["status", "result", "attempts", "duration_seconds", "quality_score"];

/// Reports everything that is wrong with the plan as a whole.
pub(super) fn check(document: &Document, report: &mut Report) {
    let list = |name: &str| document.get(0, name);
    let steps: Vec<NodeId> = list("steps").into_iter().flat_map(|steps| document.items(steps)).collect();
    let defaults = list("defaults").filter(|node| document.kind(*node) == Kind::Object);
    let mut check = Check {
        document,
        report,
        own: steps.iter().map(|step| Fields::of(document, *step)).collect(),
        default_fields: defaults.map(|node| Fields::of(document, node)).unwrap_or_default(),
        ids: HashMap::with_capacity(steps.len()),
        variables: list("variables").map(|node| names(document, node)).unwrap_or_default(),
        pools: list("pools").map(|node| names(document, node)).unwrap_or_default(),
        defaults,
        templates: document.contains("{{"),
        nul: document.contains("\0"),
        steps,
    };
    check.ids();
    check.dependencies();
    check.defaults();
    if let Some(agents) = document.get(0, "agents") {
        check.agents(agents);
    }
    for place in 0..check.steps.len() {
        check.step(place);
    }
    if document.contains("wait") || document.contains("manual") {
        let effective: Vec<Fields> = (0..check.steps.len()).map(|place| check.effective(place)).collect();
        waiting::check(document, &effective, check.report);
    }
    check.numbers();
}

/// Reports what is wrong with the entries of agents that stand in another text than the plan which they are for.
pub(super) fn check_agents(document: &Document, entries: NodeId, plan: &Plan, report: &mut Report) {
    let steps = plan.steps.iter().enumerate();
    let mut check = Check {
        document,
        report,
        own: Vec::new(),
        default_fields: Fields::default(),
        ids: steps.map(|(place, step)| (step.step_id.as_str(), place as u32)).collect(),
        variables: plan.variables.keys().map(String::as_str).collect(),
        pools: BTreeSet::new(),
        defaults: None,
        templates: document.contains("{{"),
        nul: document.contains("\0"),
        steps: Vec::new(),
    };
    check.agents(entries);
}

fn names<'a>(document: &'a Document, node: NodeId) -> BTreeSet<&'a str> {
    document.members(node).map(|(key, _)| document.string(key)).collect()
}

struct Check<'a, 'd, 'r> {
    document: &'a Document<'d>,
    report: &'r mut Report,
    steps: Vec<NodeId>,
    /// What each step says itself.
    own: Vec<Fields>,
    default_fields: Fields,
    /// Whether there is any expression in the whole text.
    templates: bool,
    /// Whether a NUL is written anywhere in the text.
    nul: bool,
    /// The first step of each id, by position.
    ids: HashMap<&'a str, u32>,
    variables: BTreeSet<&'a str>,
    pools: BTreeSet<&'a str>,
    defaults: Option<NodeId>,
}

impl<'a> Check<'a, '_, '_> {
    fn error(&mut self, node: NodeId, message: String, label: &str, help: Option<String>) {
        self.report.push(Diagnostic::error(self.document.span(node), message).label(label.to_owned()).maybe_help(help));
    }

    fn id_node(&self, place: usize) -> Option<NodeId> {
        node(self.own[place].step_id).filter(|node| self.document.kind(*node) == Kind::String)
    }

    fn id(&self, place: usize) -> &'a str {
        self.id_node(place).map_or("", |node| self.document.string(node))
    }

    /// A step's name in a message.
    fn told(&self, place: usize) -> String {
        match self.id(place) {
            "" => "this step".to_owned(),
            id => format!("step `{id}`"),
        }
    }

    fn effective(&self, place: usize) -> Fields {
        self.own[place].over(self.document, &self.default_fields)
    }

    /// In plan order, so that the same mistake always gets the same answer.
    fn nearest_step(&mut self, name: &str) -> Option<String> {
        let document = self.document;
        if self.own.is_empty() {
            let mut ids: Vec<(u32, &str)> = self.ids.iter().map(|(id, place)| (*place, *id)).collect();
            ids.sort_unstable();
            return self.report.did_you_mean(name, ids.into_iter().map(|(_, id)| id));
        }
        let ids = self.own.iter().filter_map(|fields| document.as_string(node(fields.step_id)?));
        self.report.did_you_mean(name, ids)
    }

    fn ids(&mut self) {
        for place in 0..self.steps.len() {
            let Some(node) = self.id_node(place) else { continue };
            let id = self.document.string(node);
            let first = *self.ids.entry(id).or_insert(place as u32) as usize;
            if let Some(first) = (first != place).then(|| self.id_node(first)).flatten() {
                self.report.push(
                    Diagnostic::error(self.document.span(node), format!("the step id `{id}` stands twice"))
                        .label("second of the same id")
                        .related(self.document.span(first), "the first is here")
                        .help("give one of them another id"),
                );
            }
        }
    }

    fn dependencies(&mut self) {
        let document = self.document;
        let mut edges: Vec<(u32, u32)> = Vec::new();
        let mut reported_defaults = false;
        for place in 0..self.steps.len() {
            let own = self.own[place].depends_on;
            let Some(list) = node(self.effective(place).depends_on) else { continue };
            let mut seen: Vec<&str> = Vec::new();
            for item in document.items(list) {
                let Some(name) = document.as_string(item) else { continue };
                if let Some(before) = self.ids.get(name) {
                    edges.push((*before, place as u32));
                    if own.is_some() && seen.len() < 64 && seen.contains(&name) {
                        self.report.push(
                            Diagnostic::warning(document.span(item), format!("the dependency `{name}` is named twice"))
                                .label("already named in this list"),
                        );
                    }
                    seen.push(name);
                } else if own.is_some() || !std::mem::replace(&mut reported_defaults, true) {
                    let help = self.nearest_step(name);
                    let message = match own {
                        Some(_) => {
                            format!("{} depends on `{name}`, which is not a step of this plan", self.told(place))
                        }
                        None => format!("the default dependency `{name}` is not a step of this plan"),
                    };
                    self.error(item, message, "no step has this id", help);
                }
            }
        }
        for cycle in order::cycles(self.steps.len(), &edges) {
            self.cycle(&cycle);
        }
    }

    fn cycle(&mut self, members: &[usize]) {
        let document = self.document;
        let next = members.get(1).unwrap_or(&members[0]);
        let wanted = self.id(*next);
        let entry = node(self.effective(members[0]).depends_on)
            .and_then(|list| document.items(list).find(|item| document.as_string(*item) == Some(wanted)));
        let Some(node) = entry.or_else(|| self.id_node(members[0])) else { return };
        let (message, help) = if let [only] = members {
            (format!("step `{}` depends on itself", self.id(*only)), "remove this entry")
        } else {
            let names: Vec<&str> = members.iter().map(|place| self.id(*place)).collect();
            let cycle = order::describe_cycle(&names);
            (format!("these steps wait for each other: {cycle}"), "remove one of these dependencies")
        };
        let mut diagnostic = Diagnostic::error(document.span(node), message).label("closes the circle").help(help);
        for place in members.iter().skip(1).take(8) {
            if let Some(node) = self.id_node(*place) {
                diagnostic = diagnostic.related(document.span(node), format!("`{}` is in the circle", self.id(*place)));
            }
        }
        self.report.push(diagnostic);
    }

    fn defaults(&mut self) {
        let Some(defaults) = self.defaults else { return };
        let fields = self.default_fields;
        let given = |place: Option<Place>| node(place).filter(|node| self.document.kind(*node) != Kind::Null);
        if let (Some(run), Some(agent)) = (given(fields.run), given(fields.agent_type).or(given(fields.agent_name))) {
            self.both(run, agent);
        }
        self.contents(defaults, &fields);
    }

    fn step(&mut self, place: usize) {
        let step = self.steps[place];
        if self.document.kind(step) == Kind::Object {
            self.who(place);
            let fields = self.own[place];
            self.contents(step, &fields);
        }
    }

    /// What becomes a command line, an environment or a path cannot hold a NUL: the system would refuse the command when its time comes.
    fn no_nul(&mut self, owner: NodeId, names: &[&str]) {
        let document = self.document;
        if !self.nul {
            return;
        }
        for (key, value) in document.members(owner).collect::<Vec<_>>() {
            let name = document.string(key);
            if !names.contains(&name) {
                continue;
            }
            // The words of a list and the names in an object as well as the text itself.
            let with = (value..document.after(value)).find(|node| document.string(*node).contains('\0'));
            if let Some(node) = with {
                let message = format!("`{name}` holds a NUL character, which nothing that is started can be given");
                self.error(node, message, "`\\u0000` stands in here", None);
            }
        }
    }

    /// Who does a step's work: a command of its own, or an agent; not both, and not nobody.
    fn who(&mut self, place: usize) {
        let fields = self.effective(place);
        match (node(fields.run), node(fields.agent_type.or(fields.agent_name))) {
            (Some(run), Some(agent)) => self.both(run, agent),
            (None, None) if fields.action.is_none() => {
                let start = self.document.span(self.steps[place]).start;
                self.report.push(
                    Diagnostic::error(
                        start..start + 1,
                        format!("{} does not say what is to be done", self.told(place)),
                    )
                    .label("neither `run` nor an agent")
                    .help("add \"run\": a shell command, or \"agent_type\" and \"action\""),
                );
            }
            (Some(_), None) => {
                let own = &self.own[place];
                for (name, place) in [("action", own.action), ("parameters", own.parameters)] {
                    let Some(node) = node(place).filter(|node| self.document.has_content(*node)) else { continue };
                    self.report.push(
                        Diagnostic::warning(self.document.span(node), format!("`{name}` has no effect beside `run`"))
                            .label("not used")
                            .help("values for a command go through `env`"),
                    );
                }
            }
            _ => {}
        }
    }

    fn both(&mut self, run: NodeId, agent: NodeId) {
        self.report.push(
            Diagnostic::error(self.document.span(run), "`run` and an agent exclude each other")
                .label("a command of its own")
                .related(self.document.span(agent), "and an agent")
                .help("keep `run`, or keep the agent and say in `action` what it is to do"),
        );
    }

    /// Everything that concerns one step, or the defaults, alone.
    fn contents(&mut self, owner: NodeId, fields: &Fields) {
        self.no_nul(owner, &["run", "env", "working_dir"]);
        let document = self.document;
        if let Some(pool) = node(fields.pool)
            && let Some(name) = document.as_string(pool)
            && !self.pools.contains(name)
        {
            let help = self.report.did_you_mean(name, self.pools.iter().copied());
            let help = help.unwrap_or_else(|| format!("add \"pools\": {{\"{name}\": 1}} to the plan"));
            self.error(pool, format!("there is no pool `{name}`"), "not in the plan's `pools`", Some(help));
        }
        if let Some(gate) = node(fields.quality_gate) {
            self.rising(gate, [("review_threshold_low", 0.6), ("review_threshold_high", 0.85)]);
            self.rising(gate, [("min_quality", 0.7), ("target_quality", 0.9)]);
        }
        if let Some(retry) = node(fields.retry) {
            self.rising(retry, [("delay_seconds", 1.0), ("max_delay_seconds", 300.0)]);
        }
        if let Some(rollback) = node(fields.rollback).filter(|node| document.kind(*node) == Kind::Object) {
            let find = |name: &str| document.get(rollback, name).filter(|node| document.kind(*node) != Kind::Null);
            match (find("run"), find("agent_type")) {
                (Some(run), Some(_)) => self.error(
                    run,
                    "a rollback has `run` or an agent, not both".to_owned(),
                    "a command of its own",
                    None,
                ),
                (None, None) => {
                    let message = "the rollback does not say what is to be done".to_owned();
                    self.error(rollback, message, "neither `run` nor an agent", None);
                }
                _ => {}
            }
        }
        self.expressions(owner, fields);
    }

    /// Two numbers of which the first may not be larger. `otherwise` stands for one that is not given.
    fn rising(&mut self, owner: NodeId, [(low, low_otherwise), (high, high_otherwise)]: [(&str, f64); 2]) {
        let document = self.document;
        let number = |name: &str| {
            let node = document.get(owner, name)?;
            (document.kind(node) == Kind::Number)
                .then(|| document.raw(node).parse::<f64>().ok())
                .flatten()
                .map(|n| (node, n))
        };
        let (low_given, high_given) = (number(low), number(high));
        // What is out of its range is reported as that.
        let most_allowed = if low == "delay_seconds" { MAX_SECONDS } else { 1.0 };
        if low_given.iter().chain(&high_given).any(|(_, number)| !(0.0..=most_allowed).contains(number)) {
            return;
        }
        let Some((node, _)) = low_given.or(high_given) else { return };
        let least = low_given.map_or(low_otherwise, |(_, number)| number);
        let most = high_given.map_or(high_otherwise, |(_, number)| number);
        // A limit on the longest delay alone is plain enough, and a target is only what one hopes for.
        let both_wanted = low == "min_quality" || (low == "delay_seconds" && low_given.is_none());
        if least <= most || (both_wanted && (low_given.is_none() || high_given.is_none())) {
            return;
        }
        let told = |given: bool| if given { "" } else { " (the default)" };
        let message = format!(
            "`{low}` is {least}{}, above `{high}`, which is {most}{}",
            told(low_given.is_some()),
            told(high_given.is_some())
        );
        let mut diagnostic = Diagnostic::error(document.span(node), message)
            .label("out of order")
            .help(format!("`{low}` may be at most `{high}`"));
        if let (Some(_), Some((high_node, _))) = (low_given, high_given) {
            diagnostic = diagnostic.related(document.span(high_node), "the upper one");
        }
        self.report.push(diagnostic);
    }

    fn agents(&mut self, agents: NodeId) {
        let document = self.document;
        for (_, agent) in document.members(agents) {
            self.no_nul(agent, &["command", "env", "working_dir"]);
            let find = |name: &str| document.get(agent, name).filter(|node| document.kind(*node) != Kind::Null);
            match find("kind").map_or("", |kind| document.string(kind)) {
                "http" => super::http::check(document, agent, self.report),
                "mcp" => super::mcp::check(document, agent, self.report),
                "command" => {
                    let jsonl = find("protocol").filter(|protocol| document.string(*protocol) == "jsonl");
                    let tty = find("tty").filter(|tty| document.kind(*tty) == Kind::Bool(true));
                    if let (Some(jsonl), Some(tty)) = (jsonl, tty) {
                        self.report.push(
                            Diagnostic::error(document.span(tty), "messages of `jsonl` cannot go through a terminal")
                                .label("keep `tty` or the protocol")
                                .related(document.span(jsonl), "the protocol"),
                        );
                    }
                }
                _ => {}
            }
            for node in agent..document.after(agent) {
                self.template(node, None);
            }
        }
    }

    /// Every string of a step that is rendered. What is only carried or free for the author is not.
    fn expressions(&mut self, owner: NodeId, fields: &Fields) {
        let document = self.document;
        if fields.when.is_none() && fields.foreach.is_none() && !self.templates {
            return;
        }
        let each = fields.foreach.or(self.default_fields.foreach).is_some();
        for (key, value) in document.members(owner) {
            let name = document.string(key);
            if name == "when" {
                self.when(value, each);
            } else if name == "foreach" {
                self.foreach(value);
            } else if !CARRIED.contains(&name) && !matches!(name, "metadata" | "step_config" | "step_id") {
                for node in value..document.after(value) {
                    self.template(node, Some(each));
                }
            }
        }
    }

    fn when(&mut self, node: NodeId, each: bool) {
        let Some(text) = self.document.as_string(node) else { return };
        match expression::expression_names(text) {
            Ok(names) => self.expression_names(node, names, Some(each)),
            Err(mistake) => {
                let help = expression::is_template(text)
                    .then(|| "`when` is an expression by itself: write it without {{ and }}".to_owned());
                self.mistake(node, &mistake, "the condition", help);
            }
        }
    }

    /// What the items are, an expression by itself or with expressions in it, is known before there is any item.
    fn foreach(&mut self, node: NodeId) {
        let document = self.document;
        let whole = document.as_string(node).filter(|text| !expression::is_template(text));
        match whole.map(expression::expression_names) {
            Some(Ok(names)) => self.expression_names(node, names, Some(false)),
            Some(Err(mistake)) => {
                let help = "a list, or an expression that gives one".to_owned();
                self.mistake(node, &mistake, "what the items are", Some(help));
            }
            None => (node..document.after(node)).for_each(|node| self.template(node, Some(false))),
        }
        for node in node..document.after(node) {
            let Some(text) = document.as_string(node) else { continue };
            let names = match whole {
                Some(text) => expression::expression_names(text),
                None => expression::template_names(text),
            };
            let secret = names.into_iter().flatten().find(|name| {
                let variable = name.strip_prefix("vars.").and_then(|name| name.split('.').next());
                variable.is_some_and(|variable| self.is_secret(variable))
            });
            if let Some(name) = secret {
                let help = "name it where it is used: in `env` or `parameters`".to_owned();
                self.unknown_name(node, &name, format!("`{name}` is secret, and items are written down"), Some(help));
            }
        }
    }

    fn is_secret(&self, variable: &str) -> bool {
        let document = self.document;
        let found = document.get(0, "variables").and_then(|all| document.get(all, variable));
        found.and_then(|one| document.get(one, "secret")).is_some_and(|node| document.raw(node) == "true")
    }

    /// A string that may hold `{{ … }}`. `known` is given where all names are known: whether `foreach` adds some.
    fn template(&mut self, node: NodeId, known: Option<bool>) {
        let Some(text) = self.document.as_string(node).filter(|text| expression::is_template(text)) else { return };
        match expression::template_names(text) {
            Ok(names) => self.expression_names(node, names, known),
            Err(mistake) => {
                let help = "to write two braces as they are: {{ '{{' }}".to_owned();
                self.mistake(node, &mistake, "the expression", Some(help));
            }
        }
    }

    fn mistake(&mut self, node: NodeId, mistake: &Mistake, what: &str, help: Option<String>) {
        let span = self.inner_span(node, mistake.range.clone());
        self.report.push(
            Diagnostic::error(span, format!("{what} cannot be read: {}", mistake.message))
                .label("not a valid expression")
                .maybe_help(help),
        );
    }

    /// A part of a string as a place in the source; the whole string when escapes make that uncertain.
    fn inner_span(&self, node: NodeId, range: Option<Range<usize>>) -> Range<usize> {
        let whole = self.document.span(node);
        match range.filter(|_| self.document.is_verbatim(node)) {
            Some(range) => {
                let start = whole.start + 1 + range.start;
                start..(whole.start + 1 + range.end).max(start + 1).min(whole.end)
            }
            None => whole,
        }
    }

    fn expression_names(&mut self, node: NodeId, names: HashSet<String>, known: Option<bool>) {
        let mut names: Vec<String> = names.into_iter().collect();
        // Steps first: what looks like an unknown name may be the rest of a step's id.
        names.sort_unstable_by_key(|name| (!name.starts_with("steps."), name.clone()));
        let mut dashed: Vec<&str> = Vec::new();
        for name in names {
            let mut parts = name.split('.');
            let root = parts.next().unwrap_or_default();
            match (root, parts.next()) {
                ("vars", Some(variable)) if !self.variables.contains(variable) => {
                    let help = self.report.did_you_mean(variable, self.variables.iter().copied());
                    let help = help.unwrap_or_else(|| format!("add \"{variable}\" to the plan's `variables`"));
                    self.unknown_name(node, &name, format!("there is no variable `{variable}`"), Some(help));
                }
                ("steps", Some(step)) if !self.ids.contains_key(step) => {
                    let help = match self.dashed(node, step) {
                        Some(id) => {
                            dashed.push(id);
                            Some(format!("a `-` is a minus sign here: write steps['{id}']"))
                        }
                        None => self.nearest_step(step),
                    };
                    self.unknown_name(node, &name, format!("there is no step `{step}`"), help);
                }
                ("steps", Some(_)) => {
                    if let Some(fact) = parts.next().filter(|fact| !STEP_FACTS.contains(fact)) {
                        let help = self.report.did_you_mean(fact, STEP_FACTS);
                        let help = help.unwrap_or_else(|| format!("a step has {}", STEP_FACTS.join(", ")));
                        self.unknown_name(node, &name, format!("a step has no `{fact}`"), Some(help));
                    }
                }
                _ => {
                    let Some(each) = known else { continue };
                    let of_dashed = dashed.iter().any(|id| id.split('-').any(|part| part == root));
                    if of_dashed || ROOTS.contains(&root) || (each && FOREACH_ROOTS.contains(&root)) {
                        continue;
                    }
                    let help = if self.variables.contains(root) {
                        Some(format!("did you mean `vars.{root}`?"))
                    } else if self.ids.contains_key(root) {
                        Some(format!("did you mean `steps.{root}`?"))
                    } else {
                        Some(format!("known names are {}", ROOTS.join(", ")))
                    };
                    self.unknown_name(node, root, format!("the name `{root}` is not known"), help);
                }
            }
        }
    }

    /// The id that was meant where `steps.my-step` was read as `steps.my` minus `step`.
    fn dashed(&self, node: NodeId, step: &str) -> Option<&'a str> {
        let text = self.document.string(node);
        let rest = &text[text.find(&format!("steps.{step}-"))? + "steps.".len()..];
        let end = rest.find(|sign: char| !(sign.is_ascii_alphanumeric() || matches!(sign, '_' | '-')));
        self.ids.get_key_value(&rest[..end.unwrap_or(rest.len())]).map(|(id, _)| *id)
    }

    fn unknown_name(&mut self, node: NodeId, name: &str, message: String, help: Option<String>) {
        let text = self.document.string(node);
        let of_name = |sign: char| sign.is_alphanumeric() || matches!(sign, '_' | '.' | '$');
        let place = text.match_indices(name).map(|(place, _)| place).find(|place| {
            !text[..*place].ends_with(of_name)
                && !text[place + name.len()..].starts_with(|sign| of_name(sign) && sign != '.')
        });
        let span = self.inner_span(node, place.map(|start| start..start + name.len()));
        self.report.push(Diagnostic::error(span, message).label("unknown name").maybe_help(help));
    }

    /// Whole numbers too large to be kept exactly, anywhere: what is loaded and saved again must have lost nothing.
    fn numbers(&mut self) {
        let document = self.document;
        for node in 0..document.after(0) {
            if document.kind(node) != Kind::Number {
                continue;
            }
            let raw = document.raw(node);
            if raw.len() > 18
                && !raw.contains(['.', 'e', 'E'])
                && raw.parse::<i64>().is_err()
                && raw.parse::<u64>().is_err()
            {
                self.report.push(
                    Diagnostic::warning(document.span(node), "a whole number too large to be kept exactly")
                        .label("its last digits are lost")
                        .help("write it in quotes"),
                );
            }
        }
    }
}
