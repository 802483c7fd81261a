internal import Glibc
internal import MartletPrimitives
internal import MartletServer

/// `martlet token`: makes a JSON Web Token for a publisher, a player or an administrator.
enum TokenCommand: Command {
  static let name = "token"
  static let summary = "Makes a token that allows to publish, to play, …"
  static let usage = "--can ACTION:PATTERN --key-file FILE [flags]"
  static let details = """
    The server accepts it when auth.jwt holds the same secret or the public key. It is sent as ?token=…, as Authorization:
    Bearer, or behind the stream key of an encoder. * in a pattern is any name within a segment, ** any path.
    """
  static var flags: [CommandFlag] { TokenMint.flags }

  static func run(_ arguments: CommandLineArguments) async throws {
    _ = try arguments.operands()
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let now = WallTime(milliseconds: Int64(time.tv_sec) * 1000)
    let id = Hex.encode((0..<16).map { _ in UInt8.random(in: 0...255) })
    print(try TokenMint.mint(arguments, environment: Terminal.environment, now: now, id: id))
  }
}
