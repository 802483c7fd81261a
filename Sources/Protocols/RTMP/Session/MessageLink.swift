internal import MartletPrimitives

/// What both ends of a connection have in common once the handshake is done: chunks in and out, and the protocol control
/// that needs no decision (acknowledgements, windows, pings).
struct MessageLink: ~Copyable {
  enum Control {
    /// Not a control message: for the session to handle.
    case none
    case done
    case acknowledged(UInt64)
    case user(UserControl)
  }

  private var reader: ChunkReader
  private var writer = ChunkWriter()
  private(set) var output: [UInt8] = []
  private var received: UInt64 = 0
  private var lastAcknowledged: UInt64 = 0
  /// Bytes after which the peer wants to hear from us.
  private var window: UInt32
  private var peerCount = Unwrapper(bits: 32)
  private var ownWindow: UInt32

  init(limits: ChunkLimits, window: UInt32) {
    reader = ChunkReader(limits: limits)
    self.window = window
    ownWindow = window
  }

  var limits: ChunkLimits {
    get { reader.limits }
    set { reader.limits = newValue }
  }

  /// Bytes held of messages that are not complete.
  var unfinishedBytes: Int { reader.unfinishedBytes }

  var chunkSize: Int { writer.chunkSize }

  mutating func takeOutput() -> [UInt8] { exchange(&output, with: []) }

  mutating func append(_ bytes: [UInt8]) { output = output.isEmpty ? bytes : output + bytes }

  /// Counts bytes that the chunk layer does not see.
  mutating func count(_ bytes: Int) { received &+= UInt64(bytes) }

  mutating func receive(_ bytes: RawSpan, into messages: inout [RTMPMessage]) throws(RTMPError) {
    count(bytes.byteCount)
    try reader.receive(bytes, into: &messages)
    // §5.4.3: once per window, and once per read however small a window the peer asks for.
    guard window > 0, received - lastAcknowledged >= UInt64(window) else { return }
    lastAcknowledged = received
    send(ProtocolControl.acknowledgement(UInt32(truncatingIfNeeded: received)))
  }

  mutating func send(_ message: RTMPMessage) { writer.write(message, into: &output) }
  mutating func send(_ control: ProtocolControl) { send(control.message) }
  mutating func send(_ control: UserControl) { send(control.message) }
  mutating func setChunkSize(_ size: Int) { writer.setChunkSize(size, into: &output) }

  mutating func setOwnWindow(_ size: UInt32) {
    ownWindow = size
    send(.windowAcknowledgementSize(size))
  }

  mutating func control(_ message: RTMPMessage) throws(RTMPError) -> Control {
    if message.type == .userControl { return try user(UserControl(message)) }
    switch try ProtocolControl(message) {
    case nil: return .none
    case .acknowledgement(let count): return .acknowledged(UInt64(clamping: peerCount.unwrap(UInt64(count))))
    case .windowAcknowledgementSize(let size): window = size
    case .setPeerBandwidth(let size, _):
      // §5.4.5: answered with our window when it is not the one sent last.
      // A window of 0 would stop the peer's clock.
      if size > 0, size != ownWindow { setOwnWindow(size) }
    case .setChunkSize, .abort: break
    }
    return .done
  }

  private mutating func user(_ event: UserControl) -> Control {
    guard case .pingRequest(let time) = event else { return .user(event) }
    send(UserControl.pingResponse(time))
    return .done
  }
}
