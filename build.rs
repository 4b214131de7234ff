//! Generates the gRPC stubs and the descriptor set from `proto/` into `OUT_DIR`, without a `protoc`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

const PROTO: &str = "proto/overplane/setup/v1/customer_group.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=src/store/migrations");

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_file(PROTO)?;

    // The compiler's own encoding: prost's types know no extensions, so that encoding them again would
    // lose the `google.api.http` rules.
    let descriptor = PathBuf::from(env::var("OUT_DIR")?).join("descriptor.bin");
    fs::write(descriptor, compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure()
        .build_client(true)
        // An entry of two bytes may not take up a whole group, since there may be millions of them in a request.
        .boxed(".overplane.setup.v1.NewCustomerGroupEntry.customer_group")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
