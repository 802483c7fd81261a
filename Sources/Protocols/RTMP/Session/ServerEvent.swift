package import MartletPrimitives

/// What a client did, for the driver to act on. Those that ask for a decision name the call that gives it.
package enum ServerEvent: Sendable {
  /// Answer with `acceptConnect` or `rejectConnect`.
  indirect case connect(ConnectRequest)
  /// Answer with `acceptPublish` or `rejectPublish`.
  indirect case publish(PublishRequest)
  /// Answer with `acceptPlay` or `rejectPlay`.
  indirect case play(PlayRequest)
  /// Audio, video or data of an accepted publisher: aggregates split, data as plain AMF0 without `@setDataFrame`.
  case media(streamID: UInt32, RTMPMessage)
  /// Answer with `pauseNotify`. The time is the player's position in milliseconds.
  case pause(streamID: UInt32, paused: Bool, milliseconds: Double)
  /// Answer with `seekNotify` or `rejectSeek`.
  case seek(streamID: UInt32, milliseconds: Double)
  case receiveAudio(streamID: UInt32, Bool)
  case receiveVideo(streamID: UInt32, Bool)
  /// A publisher or player has ended; also when its request was still undecided.
  case closeStream(streamID: UInt32)
  /// The client has received that many bytes in all.
  case acknowledged(bytes: UInt64)
  /// How much the player wants to hold ahead, in milliseconds.
  case bufferLength(streamID: UInt32, milliseconds: UInt32)
}

package struct ConnectRequest: Equatable, Sendable {
  /// The application, without slashes around it and without its query.
  package var app: String
  package var tcURL: String
  /// Parameters of the application's query string, then of the URL's.
  package var query: QueryParameters
  /// Who the client says it is, such as `FMLE/3.0`.
  package var flashVersion: String
  package var pageURL: String
  package var swfURL: String
  /// 0 for AMF0, 3 for AMF3.
  package var objectEncoding: Int
  package var capabilities: EnhancedCapabilities
}

package struct PublishRequest: Equatable, Sendable {
  package var streamID: UInt32
  package var name: String
  package var query: QueryParameters
  /// `live`, `record` or `append`.
  package var type: String

  package init(streamID: UInt32, name: String, query: QueryParameters, type: String = "live") {
    self.streamID = streamID
    self.name = name
    self.query = query
    self.type = type
  }
}

package struct PlayRequest: Equatable, Sendable {
  package var streamID: UInt32
  package var name: String
  package var query: QueryParameters
  /// Seconds; -2 live or else recorded, -1 live only (RTMP 1.0 §7.2.2.1).
  package var start: Double
  /// Seconds; -1 to the end.
  package var duration: Double
  /// Whether an earlier playlist is to be flushed.
  package var reset: Bool

  package init(streamID: UInt32, name: String, query: QueryParameters, start: Double = -2, duration: Double = -1, reset: Bool = true) {
    self.streamID = streamID
    self.name = name
    self.query = query
    self.start = start
    self.duration = duration
    self.reset = reset
  }
}

package struct ServerSessionConfiguration: Sendable {
  /// For publishers. Until a `publish` is accepted, messages are held to `undecidedBytes` and twice that unfinished.
  package var chunkLimits = ChunkLimits()
  package var amfLimits = AMFLimits()
  /// What our chunks are cut to from the answer to `connect` on, 128 to 16,777,215; wire images use the same.
  package var outgoingChunkSize = 65_536
  /// Bytes after which the client is to acknowledge; also when we do, until the client asks for another figure.
  package var windowAcknowledgementSize: UInt32 = 2_500_000
  package var peerBandwidth: UInt32 = 2_500_000
  /// From the first byte to the end of the handshake.
  package var handshakeTimeout = TimeSpan.seconds(10)
  /// From there to a `connect`.
  package var connectTimeout = TimeSpan.seconds(10)
  /// Message streams that a client may hold open.
  package var messageStreams = 16
  /// Bytes kept while a decision is awaited: commands behind `connect`, media behind `publish`.
  package var undecidedBytes = 1 << 20
  package var capabilities = EnhancedCapabilities.martlet

  package init() {}

  /// What a client may make us hold before it has been accepted as a publisher: players and strangers send commands only.
  var strangerLimits: ChunkLimits {
    var limits = chunkLimits
    limits.messageBytes = min(limits.messageBytes, undecidedBytes)
    limits.unfinishedBytes = min(limits.unfinishedBytes, 2 * undecidedBytes)
    return limits
  }
}
