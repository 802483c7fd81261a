package import MartletEndpoints
package import MartletIO
package import MartletMedia
package import MartletMessages
package import MartletPrimitives
package import MartletRooms
package import MartletWeb

/// Everything an operator may set, as values; the defaults are those of a server without a configuration file. How each is
/// written is in `Sections/`.
package struct ServerConfiguration: Sendable {
  /// Where a protocol listens; `nil` is off.
  package struct Listeners: Equatable, Sendable {
    package var http: SocketAddress? = SocketAddress(ip: .anyV6, port: 8080)
    package var https: SocketAddress? = SocketAddress(ip: .anyV6, port: 8443)
    package var rtmp: SocketAddress? = SocketAddress(ip: .anyV6, port: 1935)
    package var rtmps: SocketAddress? = SocketAddress(ip: .anyV6, port: 1936)
    /// UDP; the port of the first worker, each next one has the next.
    package var webrtc: SocketAddress? = SocketAddress(ip: .anyV6, port: 8189)
    /// STUN and TURN over UDP and TCP.
    package var turn: SocketAddress? = SocketAddress(ip: .anyV6, port: 3478)
    /// The same over TLS.
    package var turns: SocketAddress? = SocketAddress(ip: .anyV6, port: 5349)
    package init() {}

    package init(
      http: SocketAddress?, https: SocketAddress?, rtmp: SocketAddress?, rtmps: SocketAddress?, webrtc: SocketAddress? = nil,
      turn: SocketAddress? = nil, turns: SocketAddress? = nil
    ) {
      (self.http, self.https, self.rtmp, self.rtmps, self.webrtc) = (http, https, rtmp, rtmps, webrtc)
      (self.turn, self.turns) = (turn, turns)
    }

    /// Those that are open, by the names that addresses have: `rtmp`.
    package var bound: [(name: String, address: SocketAddress)] {
      Self.all.compactMap { name, path in self[keyPath: path].map { (name, $0) } }
    }

    /// The one of this name; the others are off.
    package func only(_ name: String) -> Self {
      var one = self
      for (other, path) in Self.all where other != name { one[keyPath: path] = nil }
      return one
    }

    private static var all: [(name: String, path: WritableKeyPath<Self, SocketAddress?>)] {
      [
        ("http", \.http), ("https", \.https), ("rtmp", \.rtmp), ("rtmps", \.rtmps), ("webrtc", \.webrtc), ("turn", \.turn),
        ("turns", \.turns),
      ]
    }
  }

  package var listeners = Listeners()
  package var tls = TLSConfiguration()
  /// Threads with an event loop each; 0 is one for each core.
  package var workers = 0
  package var io = IOConfiguration()
  /// The echo endpoints under `/diag`.
  package var diagnostics = false
  package var log = LogConfiguration()
  package var limits = LimitsConfiguration()
  package var streams = StreamConfiguration()
  package var http = HTTPServer.Configuration()
  /// Answers every plain HTTP request with a redirect to HTTPS.
  package var redirectsToHTTPS = false
  /// A folder of the operator's own files; empty serves none.
  package var staticFiles = ""
  package var rtmp = RTMPListener.Configuration()
  package var relay = RTMPRelayConfiguration()
  package var webrtc = WebRTCConfiguration()
  package var turn = TURNConfiguration()
  package var transcode = TranscodeConfiguration()
  package var hls = HLSConfiguration()
  package var record = RecordConfiguration()
  package var files = FilesConfiguration()
  package var channels = ChannelConfiguration()
  package var channelTransports = ChannelsEndpoint.Configuration()
  package var rooms = RoomConfiguration()
  package var socketIO = SocketIOConfiguration()
  package var auth = AuthConfiguration()
  package var webhooks = WebhookConfiguration()
  /// How long a stopping server waits for its connections to finish.
  package var drain = TimeSpan.seconds(10)
  /// Publishes a test picture as `live/demo`.
  package var demo = false
  /// The folder for what must survive a restart: the first administrator's token, the development certificate. Empty keeps
  /// nothing.
  package var state = ""

  package init() {}
}

package struct IOConfiguration: Equatable, Sendable {
  package enum URing: String, Sendable, CaseIterable { case auto, off }
  /// Whether the writes of a turn may go down in one io_uring call.
  package var uring = URing.auto
  package init() {}
}

/// When a stream's codec is not that of an output.
package struct TranscodeConfiguration: Equatable, Sendable {
  package enum Video: String, Sendable, CaseIterable { case auto, never }
  package var video = Video.auto
  /// Streams whose pictures are transcoded at once: each takes most of a core.
  package var maximumStreams = 1
  package init() {}
}

package struct LogConfiguration: Equatable, Sendable {
  package enum Format: String, Sendable, CaseIterable { case text, json }
  package enum Level: String, Sendable, CaseIterable { case debug, info, warning, error }
  package var level = LogLevel.info
  package var format = Format.text
  package init() {}
}

/// Certificates. Without any, a development certificate is made at the first start.
package struct TLSConfiguration: Equatable, Sendable {
  /// A further certificate, for the host names that stand in it.
  package struct Host: Equatable, Sendable {
    package var certificate: String
    package var key: String

    package init(certificate: String, key: String) {
      self.certificate = certificate
      self.key = key
    }
  }

  /// PEM file of the certificate and its chain.
  package var certificate = ""
  /// PEM file of its private key.
  package var key = ""
  package var hosts: [Host] = []
  package init() {}
}

package struct LimitsConfiguration: Equatable, Sendable {
  /// Connections over all listeners; 0 is what the descriptor limit allows.
  package var connections = 0
  /// 0 is no limit.
  package var connectionsPerAddress = 0
  package init() {}

  package var census: ConnectionCensus.Limits {
    ConnectionCensus.Limits(total: connections > 0 ? connections : nil, perAddress: connectionsPerAddress)
  }
}
