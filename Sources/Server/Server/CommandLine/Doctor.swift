internal import MartletClient
internal import MartletEndpoints
internal import MartletIO
internal import MartletPrimitives

/// Looks at what keeps a configuration from working on this machine, in this network.
package enum Doctor {
  package static let flags: [CommandFlag] =
    ServeOptions.flags + [CommandFlag("stun", "HOST[:PORT]", "the STUN server that is asked about the NAT; else the configured one")]

  package static func examine(
    _ arguments: CommandLineArguments, environment: [String: String], workers: Int
  ) async throws -> [Checkup.Finding] {
    let stun = arguments["stun"]
    var configuration = try ServeOptions.load(arguments, ignoring: ["stun"], environment: environment).configuration
    if configuration.workers == 0 { configuration.workers = workers }
    let nat = await look(at: stun ?? configuration.stunServer)
    let checkup = Checkup(configuration, interfaces: NetworkInterfaces.addresses(v6: true), nat: nat)
    return ports(of: configuration) + checkup.findings
  }

  private static func look(at server: String?) async -> Checkup.NAT {
    guard let server else { return .notAsked }
    do throws(NATDiscovery.Failure) { return .report(try await NATDiscovery.ask(server), server: server) } catch {
      return .failed("\(error)")
    }
  }

  private static func ports(of configuration: ServerConfiguration) -> [Checkup.Finding] {
    var (free, findings) = ([String](), [Checkup.Finding]())
    for (name, address) in configuration.listeners.bound {
      let only = configuration.listeners.only(name)
      do throws(ListenError) {
        _ = try ListenError.settle(only, mediaTakesTCP: configuration.webrtc.takesTCP)
        free.append("\(name) \(address)")
      } catch { findings.append(Checkup.Finding(.problem, "\(name): \(error)")) }
    }
    if !free.isEmpty { findings.insert(Checkup.Finding(.good, "free to listen on: \(free.joined(separator: ", "))"), at: 0) }
    return findings
  }
}

extension ServerConfiguration {
  /// One that the configuration names anyway.
  fileprivate var stunServer: String? {
    for case .stun(let host, let port) in webrtc.addresses { return "\(host):\(port)" }
    return webrtc.iceServers.first { $0.hasPrefix("stun:") }.map { String($0.prefix { $0 != "?" }) }
  }
}
