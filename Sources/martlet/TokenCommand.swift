internal import Glibc
internal import MartletPrimitives
internal import MartletServer

/// `martlet token`: makes a JSON Web Token for a publisher, a player or an administrator, or a credential for the TURN server.
enum TokenCommand: Command {
  static let name = "token"
  static let summary = "Makes a token that allows to publish, to play, …"
  static let usage = "--can ACTION:PATTERN --key-file FILE [flags] | turn --key-file FILE [flags]"
  static let details = """
    The server accepts it when auth.jwt holds the same secret or the public key. It is sent as ?token=…, as Authorization:
    Bearer, or behind the stream key of an encoder. * in a pattern is any name within a segment, ** any path.

    martlet token turn makes a name and password for the TURN server instead, of a secret of turn.secrets (or of another server with
    the shared-secret scheme); it takes --key-file or --secret (or MARTLET_TURN_SECRET), --sub, --expires and --url.
    """
  static var flags: [CommandFlag] { TokenMint.flags + [TURNCredentialMint.urlFlag] }

  static func run(_ arguments: CommandLineArguments) async throws {
    let isTURN = arguments.operands.first == "turn"
    if isTURN { _ = try arguments.operands("turn") } else { _ = try arguments.operands() }
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let now = WallTime(milliseconds: Int64(time.tv_sec) * 1000)
    if isTURN { return print(try TURNCredentialMint.mint(arguments, environment: Terminal.environment, now: now)) }
    let id = Hex.encode((0..<16).map { _ in UInt8.random(in: 0...255) })
    print(try TokenMint.mint(arguments, environment: Terminal.environment, now: now, id: id))
  }
}
