//! Logging in with the node's own account.
//!
//! The packets and the plugins are mysql_common's; here is only who says what when.
//! Source: "Connection Phase" in the MySQL source documentation.

use mysql_common::{
    auth::plugins::{AuthProc, ChallengeResponsePlugin, Context},
    constants::CapabilityFlags,
    io::ParseBuf,
    packets::{AuthPlugin, AuthSwitchRequest, HandshakePacket, HandshakeResponse},
    proto::MySerialize,
};

use super::ConnectionError;
use crate::protocol::packet::OK;

const MORE_DATA: u8 = 0x01;
const SWITCH: u8 = 0xfe;

/// What the client says next.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing: it is logged in.
    Done,
    /// Nothing yet.
    Wait,
    Answer(Vec<u8>),
}

/// A login on its way.
pub(super) struct Login<'a> {
    plugin: AuthProc,
    secret: Secret<'a>,
}

/// What a plugin may know.
struct Secret<'a> {
    password: &'a str,
    scramble: Vec<u8>,
}

impl Context for &Secret<'_> {
    fn pass(&self) -> &[u8] {
        self.password.as_bytes()
    }
    fn is_ipc_transport(&self) -> bool {
        false
    }
    fn is_tls_transport(&self) -> bool {
        false
    }
    fn scramble(&self) -> &[u8] {
        &self.scramble
    }
    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

/// The server's version, from its greeting.
pub(super) fn version(greeting: &[u8]) -> Result<String, ConnectionError> {
    Ok(parse(greeting)?.server_version_str().into_owned())
}

fn parse(greeting: &[u8]) -> Result<HandshakePacket<'_>, ConnectionError> {
    let greeting = ParseBuf(greeting).parse(());
    greeting.map_err(|_| ConnectionError::Malformed("the greeting"))
}

impl<'a> Login<'a> {
    /// Reads the server's greeting; gives the answer to it.
    pub(super) fn start(
        greeting: &[u8],
        user: &str,
        password: &'a str,
    ) -> Result<(Self, Vec<u8>), ConnectionError> {
        let greeting = parse(greeting)?;
        // The server's default may be a plugin that no account here needs: it will switch.
        let offered = greeting.auth_plugin().filter(is_usable);
        let name = offered.unwrap_or(AuthPlugin::MysqlNativePassword);
        let mut login = Self {
            plugin: plugin(&name)?,
            secret: Secret {
                password,
                scramble: greeting.nonce(),
            },
        };
        let challenge = login.secret.scramble.clone();
        let proof = login.run(&challenge)?.unwrap_or_default();
        let capabilities = greeting.capabilities()
            & (CapabilityFlags::CLIENT_LONG_PASSWORD
                | CapabilityFlags::CLIENT_LONG_FLAG
                | CapabilityFlags::CLIENT_PROTOCOL_41
                | CapabilityFlags::CLIENT_TRANSACTIONS
                | CapabilityFlags::CLIENT_MULTI_RESULTS
                | CapabilityFlags::CLIENT_SECURE_CONNECTION
                | CapabilityFlags::CLIENT_PLUGIN_AUTH);
        let answer = HandshakeResponse::new(
            Some(proof),
            greeting.server_version_parsed().unwrap_or_default(),
            Some(user.as_bytes()),
            None::<&[u8]>,
            Some(name.into_owned()),
            capabilities | CapabilityFlags::CLIENT_LONG_PASSWORD,
            None,
            1 << 30,
        );
        let mut bytes = Vec::new();
        answer.serialize(&mut bytes);
        Ok((login, bytes))
    }

    /// Takes what the server says next.
    pub(super) fn step(&mut self, packet: &[u8]) -> Result<Step, ConnectionError> {
        let answer = match packet.split_first() {
            Some((&OK, _)) => return Ok(Step::Done),
            Some((&MORE_DATA, challenge)) => self.run(challenge)?,
            Some((&SWITCH, _)) => {
                let request: AuthSwitchRequest = ParseBuf(packet)
                    .parse(())
                    .map_err(|_| ConnectionError::Malformed("a switch of plugins"))?;
                self.plugin = plugin(&request.auth_plugin())?;
                self.secret.scramble = request.plugin_data().to_vec();
                let challenge = self.secret.scramble.clone();
                self.run(&challenge)?
            }
            _ => return Err(ConnectionError::Malformed("a packet of the login")),
        };
        Ok(answer.map_or(Step::Wait, Step::Answer))
    }

    fn run(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, ConnectionError> {
        match self.plugin.run(&self.secret, challenge) {
            Ok(response) => Ok(response.data().map(<[u8]>::to_vec)),
            Err(error) => Err(ConnectionError::Login(error.to_string())),
        }
    }
}

/// A plugin that shows the password to nobody on the way.
fn is_usable(name: &AuthPlugin) -> bool {
    matches!(
        name,
        AuthPlugin::MysqlNativePassword | AuthPlugin::CachingSha2Password
    )
}

fn plugin(name: &AuthPlugin) -> Result<AuthProc, ConnectionError> {
    if !is_usable(name) {
        let name = String::from_utf8_lossy(name.as_bytes());
        return Err(ConnectionError::Login(format!(
            "the account uses {name}; give it caching_sha2_password or mysql_native_password"
        )));
    }
    AuthProc::init(name).map_err(|error| ConnectionError::Login(error.to_string()))
}
