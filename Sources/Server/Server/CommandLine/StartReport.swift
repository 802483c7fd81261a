internal import MartletEndpoints
package import MartletPrimitives

/// What the log says when the server is ready: where it listens, what to open, and what is left open.
package struct StartReport {
  private let configuration: ServerConfiguration
  private let bound: ServerConfiguration.Listeners

  package init(_ configuration: ServerConfiguration, bound: ServerConfiguration.Listeners) {
    self.configuration = configuration
    self.bound = bound
  }

  package func write(to log: Log) {
    for (name, address) in listeners {
      log(.info, "server", "\(name) listens on \(address)" + (name == "WebRTC" ? mediaPorts(address) : ""))
    }
    log(.info, "server", "ready", ["workers": "\(configuration.workers)", "version": MartletVersion.text])
    for line in invitations { log(.info, "server", line) }
    for warning in warnings { log(.warning, "server", warning) }
  }

  /// Each worker has its own port, unless they share one.
  private func mediaPorts(_ first: SocketAddress) -> String {
    let webrtc = configuration.webrtc
    let others = configuration.workers > 1 && configuration.listeners.webrtc?.port != 0 && !webrtc.usesSinglePort
    let range = others ? " to \(Int(first.port) + configuration.workers - 1)" : ""
    return range + (webrtc.takesTCP ? ", UDP and TCP" : ", UDP")
  }

  private var listeners: [(String, SocketAddress)] {
    bound.bound.map { ($0.name == "webrtc" ? "WebRTC" : $0.name.uppercased(), $0.address) }
  }

  package var invitations: [String] {
    var lines: [String] = []
    if let rtmp = bound.rtmp { lines.append("publish: rtmp://\(host(rtmp, port: 1935))/live/NAME") }
    if let http = bound.http {
      let root = "http://\(host(http, port: 80))"
      lines.append("open: \(root)/" + (configuration.demo ? "   demo: \(root)/play/live/demo" : ""))
    }
    return lines
  }

  private func host(_ address: SocketAddress, port: UInt16) -> String {
    var reachable = address
    if address.ip == .anyV4 || address.ip == .anyV6 { reachable.ip = .v4(127 << 24 | 1) }
    if reachable.port != port { return "\(reachable)" }
    return String("\(reachable)".dropLast("\(port)".count + 1))
  }

  /// Said once: everybody who reaches the machine may publish.
  package var warnings: [String] {
    guard !configuration.auth.guardsPublishing else { return [] }
    // Nobody gets anything by the media port who was not let in over HTTP, and streams are not to be had by TURN's.
    let open = listeners.filter { !$0.1.ip.isLoopback && !["WebRTC", "TURN", "TURNS"].contains($0.0) }.map { "\($0.0) \($0.1)" }
    guard !open.isEmpty else { return [] }
    return [
      "everybody who reaches \(open.joined(separator: ", ")) may publish and play: auth.keys or auth.jwt would ask for a key, "
        + "listeners on 127.0.0.1 would keep strangers out"
    ]
  }
}

/// The version of this build.
package enum MartletVersion {
  package static let number = "0.1.0"
  package static let text = "Martlet \(number)"
}
