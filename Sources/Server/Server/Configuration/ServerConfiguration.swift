package import MartletEndpoints
package import MartletIO
package import MartletMedia
package import MartletPrimitives
package import MartletWeb

/// Everything an operator may set, as values; the defaults are those of a server without a configuration file.
package struct ServerConfiguration: Sendable {
  /// Where a protocol listens; `nil` is off.
  package struct Listeners: Sendable {
    package var http: SocketAddress? = SocketAddress(ip: .anyV6, port: 8080)
    package var rtmp: SocketAddress? = SocketAddress(ip: .anyV6, port: 1935)
    package init() {}
  }

  package var listeners = Listeners()
  /// Threads with an event loop each; 0 is one for each core.
  package var workers = 0
  /// The echo endpoints under `/diag`.
  package var diagnostics = false
  package var log = LogConfiguration()
  package var connections = ConnectionCensus.Limits()
  package var streams = StreamConfiguration()
  package var http = HTTPServer.Configuration()
  package var rtmp = RTMPListener.Configuration()
  package var hls = HLSConfiguration()
  package var record = RecordConfiguration()
  /// How long a stopping server waits for its connections to finish.
  package var drain = TimeSpan.seconds(10)
  /// Publishes a test picture as `live/demo`.
  package var demo = false

  package init() {}
}

package struct LogConfiguration: Sendable {
  package enum Format: String, Sendable { case text, json }
  package var level = LogLevel.info
  package var format = Format.text
  package init() {}
}
