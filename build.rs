//! Generates the gRPC stubs and the descriptor set from `proto/` into `OUT_DIR`, without an installed
//! `protoc`, and the list of the explorer's files from `web/dist/`.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const PROTO: &str = "proto/overplane/setup/v1/customer_group.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=src/store/migrations");

    println!("cargo::rerun-if-changed=web/dist");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("explorer.rs"), explorer()?)?;

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_file(PROTO)?;

    // The compiler's own encoding: prost's types drop extensions, so that encoding them again would lose the
    // `google.api` and `buf.validate` annotations.
    fs::write(out.join("descriptor.bin"), compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure()
        .build_client(true)
        // Boxed: an entry of two bytes must not take the size of a whole group. A request can contain
        // millions of them.
        .boxed(".overplane.setup.v1.NewCustomerGroupEntry.customer_group")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// A list of all files: `("/assets/index.css", include_bytes!("…"))`.
fn explorer() -> Result<String, Box<dyn Error>> {
    let dist = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("web/dist");
    let mut files = Vec::new();
    for folder in [dist.clone(), dist.join("assets")] {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut list = format!("const FILES: [(&str, &[u8]); {}] = [", files.len());
    for file in files {
        let name = format!("/{}", file.strip_prefix(&dist)?.display());
        let place = file.display().to_string();
        write!(list, "({name:?}, include_bytes!({place:?})),")?;
    }
    list.push_str("];");
    Ok(list)
}
