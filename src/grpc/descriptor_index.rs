//! The descriptors of files, by what clients of reflection look for.

use std::collections::{BTreeMap, HashMap};

use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, OneofDescriptorProto,
};

use crate::error::BoxError;

/// A `FileDescriptorSet` whose files stay encoded: prost's types would lose the extensions, such as `google.api.http`.
#[derive(Clone, PartialEq, Message)]
struct EncodedFiles {
    #[prost(bytes, repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}

/// The encoded files, by name and by what they define. All names are complete, without a leading dot.
#[derive(Debug, Default)]
pub(super) struct DescriptorIndex {
    files: Vec<Vec<u8>>,
    names: HashMap<String, usize>,
    symbols: HashMap<String, usize>,
    extensions: HashMap<String, BTreeMap<i32, usize>>,
    services: Vec<String>,
}

impl DescriptorIndex {
    pub(super) fn of(sets: &[&[u8]]) -> Result<Self, BoxError> {
        let mut index = Self::default();
        for set in sets {
            for file in EncodedFiles::decode(*set)?.file {
                index.add(file)?;
            }
        }
        Ok(index)
    }

    pub(super) fn file(&self, name: &str) -> Option<&[u8]> {
        self.encoded(self.names.get(name))
    }

    /// Returns the file that defines a message, a field, an enum, a value, a service or a method.
    pub(super) fn symbol(&self, name: &str) -> Option<&[u8]> {
        self.encoded(self.symbols.get(name))
    }

    /// Returns the file that defines an extension of a message.
    pub(super) fn extension(&self, message: &str, number: i32) -> Option<&[u8]> {
        self.encoded(self.extensions.get(message)?.get(&number))
    }

    /// Returns the numbers of the extensions of a message.
    pub(super) fn extensions(&self, message: &str) -> Vec<i32> {
        self.extensions.get(message).into_iter().flat_map(BTreeMap::keys).copied().collect()
    }

    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    fn encoded(&self, place: Option<&usize>) -> Option<&[u8]> {
        self.files.get(*place?).map(Vec::as_slice)
    }

    fn add(&mut self, encoded: Vec<u8>) -> Result<(), BoxError> {
        let file = FileDescriptorProto::decode(&*encoded)?;
        let place = self.files.len();
        if self.names.contains_key(file.name()) {
            return Ok(());
        }
        self.names.insert(file.name().to_owned(), place);
        self.files.push(encoded);
        let package = file.package();
        file.message_type.iter().for_each(|message| self.add_message(package, message, place));
        file.enum_type.iter().for_each(|one| self.add_enum(package, one, place));
        file.extension.iter().for_each(|field| self.add_extension(package, field, place));
        for service in &file.service {
            let name = self.add_symbol(package, service.name(), place);
            for method in &service.method {
                self.add_symbol(&name, method.name(), place);
            }
            self.services.push(name);
        }
        Ok(())
    }

    fn add_message(&mut self, scope: &str, message: &DescriptorProto, place: usize) {
        let name = self.add_symbol(scope, message.name(), place);
        let fields = message.field.iter().map(FieldDescriptorProto::name);
        let oneofs = message.oneof_decl.iter().map(OneofDescriptorProto::name);
        for member in fields.chain(oneofs) {
            self.add_symbol(&name, member, place);
        }
        message.nested_type.iter().for_each(|nested| self.add_message(&name, nested, place));
        message.enum_type.iter().for_each(|one| self.add_enum(&name, one, place));
        message.extension.iter().for_each(|field| self.add_extension(&name, field, place));
    }

    /// The values of an enum belong to the scope of the enum, as in C++.
    fn add_enum(&mut self, scope: &str, one: &EnumDescriptorProto, place: usize) {
        self.add_symbol(scope, one.name(), place);
        for value in &one.value {
            self.add_symbol(scope, value.name(), place);
        }
    }

    fn add_extension(&mut self, scope: &str, field: &FieldDescriptorProto, place: usize) {
        self.add_symbol(scope, field.name(), place);
        let message = field.extendee().trim_start_matches('.').to_owned();
        self.extensions.entry(message).or_default().insert(field.number(), place);
    }

    fn add_symbol(&mut self, scope: &str, name: &str, place: usize) -> String {
        let name = if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") };
        self.symbols.insert(name.clone(), place);
        name
    }
}
