//! argon2id itself: a password to its PHC string, and back to a yes or no.
//!
//! The library would do both in one call each, but with memory of its own each time.
//! glibc keeps that for every thread that ever hashed: after a burst of logins it was
//! half a gigabyte. So the caller brings the memory, and may use it again.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{Error, try_generate_salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};

/// OWASP's parameters: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// glibc gives what is larger than 32 MiB back to the system when it is freed. So this
/// much is reserved; only what is written to, the 19 MiB, ever becomes real memory.
const RESERVED: usize = 33 * 1024 * 1024;

type Result<T> = std::result::Result<T, Error>;

/// What a hash is computed in. Empty at first; takes what it needs.
pub type Memory = Vec<Block>;

/// The PHC string of a password, with a salt of its own.
pub fn hash(password: &str, memory: &mut Memory) -> Result<PasswordHash> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    let salt = Salt::new(&try_generate_salt()?)?;
    Ok(PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params)?,
        salt: Some(salt),
        hash: Some(output(
            password,
            &salt,
            Algorithm::Argon2id,
            Version::V0x13,
            params,
            memory,
        )?),
    })
}

/// Whether the stored hash, with the parameters that it names, is this password's.
pub fn verify(password: &str, stored: &PasswordHash, memory: &mut Memory) -> Result<bool> {
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else {
        return Err(Error::EncodingInvalid);
    };
    let algorithm = Algorithm::try_from(stored.algorithm.as_str())?;
    let version = match stored.version {
        Some(version) => Version::try_from(version)?,
        None => Version::default(),
    };
    let params = Params::try_from(stored)?;
    // Compares in constant time.
    Ok(*expected == output(password, salt, algorithm, version, params, memory)?)
}

fn output(
    password: &str,
    salt: &Salt,
    algorithm: Algorithm,
    version: Version,
    params: Params,
    memory: &mut Memory,
) -> Result<Output> {
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let blocks = params.block_count();
    if memory.len() < blocks {
        let wanted = blocks.max(RESERVED / Block::SIZE);
        memory
            .try_reserve_exact(wanted - memory.len())
            .map_err(|_| Error::OutOfMemory)?;
        memory.resize(blocks, Block::default());
    }

    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..length).ok_or(Error::OutputSize)?;
    Argon2::new(algorithm, version, params).hash_password_into_with_memory(
        password.as_bytes(),
        salt,
        output,
        memory,
    )?;
    Ok(Output::new(output)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::{PasswordHasher, PasswordVerifier};

    #[test]
    fn the_library_agrees_with_each_hash_and_each_answer() {
        let mut memory = Memory::new();
        let ours = hash("password123", &mut memory).unwrap();
        assert!(
            ours.to_string()
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
        );
        let library = Argon2::default();
        assert!(library.verify_password(b"password123", &ours).is_ok());
        assert!(library.verify_password(b"password124", &ours).is_err());

        // In memory that was used before, by a larger hash and by a smaller one.
        for (algorithm, params) in [
            (Algorithm::Argon2id, Params::new(256, 1, 2, Some(16))),
            (Algorithm::Argon2i, Params::new(64, 3, 1, None)),
            (Algorithm::Argon2id, Params::new(20_000, 1, 1, None)),
        ] {
            let library = Argon2::new(algorithm, Version::V0x13, params.unwrap());
            let theirs = library.hash_password(b"password123").unwrap();
            assert_eq!(verify("password123", &theirs, &mut memory), Ok(true));
            assert_eq!(verify("password124", &theirs, &mut memory), Ok(false));
        }
    }

    #[test]
    fn the_same_password_hashes_differently_each_time() {
        let mut memory = Memory::new();
        let first = hash("password123", &mut memory).unwrap();
        assert_ne!(first, hash("password123", &mut memory).unwrap());
    }

    #[test]
    fn another_algorithm_or_half_a_hash_is_an_error_and_no_answer() {
        for stored in [
            "$scrypt$ln=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
            "$argon2id$v=19$m=64,t=1,p=1",
            "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ",
        ] {
            let stored = PasswordHash::new(stored).unwrap();
            assert!(verify("password123", &stored, &mut Memory::new()).is_err());
        }
    }
}
