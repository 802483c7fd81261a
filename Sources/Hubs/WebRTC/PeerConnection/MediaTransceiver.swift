internal import MartletPrimitives

/// RTCRtpTransceiver: media of one kind, sent to and received from the peer in one section.
public final class MediaTransceiver: Sendable, Hashable {
  public enum Kind: String, Sendable { case audio, video }
  public enum Direction: String, Sendable { case sendrecv, sendonly, recvonly, inactive }

  /// A codec that was negotiated.
  public struct Codec: Sendable, Equatable {
    /// As SDP names it: `VP8`, `H264`, `opus`.
    public let name: String
    public let payloadType: UInt8
    /// Ticks a second of timestamps.
    public let clockRate: Int
    public let parameters: String
  }

  /// One RTP packet's content (RFC 3550).
  public struct Packet: Sendable {
    public var payloadType: UInt8
    public var sequenceNumber: UInt16
    /// In ticks of the codec's clock.
    public var timestamp: UInt32
    public var marker: Bool
    public var payload: [UInt8]
  }

  /// A picture or a piece of sound, whole.
  public struct Frame: Sendable {
    /// In ticks of the codec's clock.
    public var timestamp: UInt32
    public var isKeyFrame: Bool
    /// H.264 and HEVC: NAL units, each behind its length in four bytes. AV1: OBUs. VP8, VP9, Opus, G.711: the frame.
    public var data: [UInt8]

    public init(timestamp: UInt32, isKeyFrame: Bool, data: [UInt8]) {
      self.timestamp = timestamp
      self.isKeyFrame = isKeyFrame
      self.data = data
    }
  }

  /// What the peer's silence sounds like (RFC 3389): from this time on, until a frame comes.
  public struct Noise: Sendable, Equatable {
    /// In ticks of the codec's clock.
    public var timestamp: UInt32
    /// In decibels relative to the overload point, −127 to 0.
    public var level: Int
    /// Reflection coefficients of the filter that shapes white noise, each above −1 and below 1; empty for white noise.
    public var reflection: [Double]
  }

  public let kind: Kind
  /// What the peer sends, packet by packet as it arrives, comfort noise and telephone events (RFC 4733) among them. A reader that falls 1,000 behind loses the oldest.
  public let packets: PeerSequence<Packet>
  /// The same, put in order and together, without noise and events: silence is frames that do not come. Whoever reads frames need not
  /// read packets. A reader that falls 300 behind loses the oldest.
  public let frames: PeerSequence<Frame>
  /// Comfort noise as it arrives. A reader that falls 50 behind loses the oldest.
  public let noise: PeerSequence<Noise>
  let connection: UInt64
  let id: UInt32
  /// The first packet of the peer.
  let arrival = PeerLatch()

  init(_ kind: Kind, id: UInt32, connection: UInt64) {
    self.kind = kind
    self.id = id
    self.connection = connection
    packets = PeerSequence(.dropsOldest(1000))
    frames = PeerSequence(.dropsOldest(300))
    noise = PeerSequence(.dropsOldest(50))
  }

  public static func == (a: MediaTransceiver, b: MediaTransceiver) -> Bool { a.connection == b.connection && a.id == b.id }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(connection)
    hasher.combine(id)
  }

  /// Waits until something of the peer has arrived on it, which is when a browser's track is unmuted; false when the connection ended
  /// instead.
  package func waitUntilFlowing() async -> Bool { await arrival.wait() }

  /// What may be sent, the preferred one first; empty before the exchange of offer and answer.
  public var codecs: [Codec] { get async { (try? await PeerConnection.run(connection) { [id] in $0.codecs(of: id) }) ?? [] } }

  /// Negotiates these codecs alone from the next description on, the preferred one first, by their names: `VP8`, `H264`, `opus`. Their
  /// retransmissions are negotiated with them; an empty list brings back all.
  ///
  /// Throws `invalidAccess` for a name that is not known.
  public func setCodecPreferences(_ names: [String]) async throws(PeerError) {
    try await PeerConnection.run(connection) { [id] core throws(PeerError) in try core.setCodecPreferences(names, of: id) }
  }

  /// Whether to send and to receive, from the next description on.
  public func setDirection(_ direction: Direction) async throws(PeerError) {
    try await PeerConnection.run(connection) { [id] core throws(PeerError) in try core.setDirection(direction, of: id) }
  }

  /// Sends a frame in the first codec that was negotiated. Nothing is sent before the connection is there.
  public func send(_ frame: Frame) async throws(PeerError) {
    try await PeerConnection.run(connection) { [id] core throws(PeerError) in try core.send(frame, on: id) }
  }

  /// Whether silence is told to the peer as comfort noise (RFC 3389) instead of being sent, where `G722`, `PCMU` or `PCMA` was
  /// negotiated with `CN`: frames that stay below −55 dBov for 200 ms, and a source that stops giving frames. Not from the start.
  public func setComfortNoise(_ isOn: Bool) async throws(PeerError) {
    try await PeerConnection.run(connection) { [id] core throws(PeerError) in try core.setComfortNoise(isOn, of: id) }
  }

  /// Asks the peer for a key frame.
  public func requestKeyFrame() { PeerLoop.shared.post { [connection, id] in $0.connections[connection]?.requestKeyFrame(of: id) } }

  func finish() {
    arrival.settle(false)
    packets.box.finish()
    frames.box.finish()
    noise.box.finish()
  }
}
