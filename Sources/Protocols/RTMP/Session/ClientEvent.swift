package import MartletPrimitives

/// What a server answered or sent.
package enum ClientEvent: Equatable, Sendable {
  /// The application let us in. The capabilities are empty when the server does not speak enhanced RTMP.
  case connected(EnhancedCapabilities)
  /// `sendMedia` may begin.
  case publishing
  /// Media follows.
  case playing
  /// Audio, video or data of what is played: aggregates split, data as plain AMF0.
  case media(RTMPMessage)
  /// Every `onStatus`, also those that lead to other events.
  case status(level: String, code: String, description: String)
  /// What is played has ended, or its publisher has gone; `playing` follows when it comes back.
  case ended
  /// The server names another one to connect to instead. Nothing more will come; close the connection.
  case redirected(to: String)
  /// The server refused. Nothing more will come; close the connection.
  case failed(code: String, description: String)
}

package struct ClientSessionConfiguration: Sendable {
  package enum Purpose: Equatable, Sendable {
    /// `live`, `record` or `append`.
    case publish(type: String = "live")
    /// Seconds; -2 live or else recorded, -1 live only.
    case play(start: Double = -2)
  }

  package var app: String
  /// `rtmp://HOST[:PORT]/APP`.
  package var tcURL: String
  /// With its query string, if any.
  package var streamName: String
  package var purpose: Purpose
  package var flashVersion: String
  package var handshake = ClientHandshake.Mode.keyFirst
  package var capabilities = EnhancedCapabilities.martlet
  package var chunkLimits = ChunkLimits()
  package var amfLimits = AMFLimits()
  package var outgoingChunkSize = 65_536
  package var windowAcknowledgementSize: UInt32 = 2_500_000
  /// What a player tells the server it holds ahead, in milliseconds.
  package var bufferLength: UInt32 = 3000
  /// For each step: handshake, connect, createStream, publish or play.
  package var stepTimeout = TimeSpan.seconds(10)

  package init(app: String, tcURL: String, streamName: String, purpose: Purpose) {
    self.app = app
    self.tcURL = tcURL
    self.streamName = streamName
    self.purpose = purpose
    // Servers choose how to answer by this name.
    flashVersion = if case .publish = purpose { "FMLE/3.0 (compatible; Martlet)" } else { "LNX 9,0,124,2" }
  }
}
