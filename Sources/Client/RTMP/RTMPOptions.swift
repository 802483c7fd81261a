/// How a publisher or a player reaches its server, and how much it holds.
public struct RTMPOptions: Sendable {
  /// For name, TCP and TLS together.
  public var connectTimeout: Duration = .seconds(10)
  /// For each step after that: handshake, connect, createStream, publish or play. Some servers answer play only when the
  /// stream is live: Martlet waits for a publisher as long as its setting `streams.wait_for_publisher` says, ten seconds by default.
  public var stepTimeout: Duration = .seconds(15)
  /// Redirects that are followed (`NetConnection.Connect.Rejected` with `ex.redirect`); 0 makes the first one an error.
  public var redirects = 3
  /// For `rtmps`.
  public var trust = TLSTrust.system
  /// Bytes of packets that wait here, on their way out or in, before the sender is suspended or the server is held back.
  public var bufferedBytes = 4 << 20

  public init() {}
}
