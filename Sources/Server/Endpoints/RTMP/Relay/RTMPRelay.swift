internal import MartletCrypto
internal import MartletIO
package import MartletMedia
internal import MartletPrimitives

/// Forwards and pulls of one worker, by the rules of the configuration.
package final class RTMPRelay {
  internal let configuration: RTMPRelayConfiguration
  internal let admission: Admission
  private var forwarders: [ObjectIdentifier: RTMPForwarder] = [:]
  private var pullers: [StreamPath: RTMPPuller] = [:]
  private var tls: TLSContext?

  package init(_ configuration: RTMPRelayConfiguration, _ admission: Admission) {
    self.configuration = configuration
    self.admission = admission
  }

  /// To be called for every stream that appears on this worker.
  package func streamDidStart(_ stream: Stream) {
    for rule in configuration.forward where rule.from.matches(stream.path.text) {
      let forwarder = RTMPForwarder(stream, rule.to.filled(for: stream.path), self)
      forwarders[ObjectIdentifier(forwarder)] = forwarder
      forwarder.begin()
    }
  }

  /// To be called when a viewer asks for a stream that nobody publishes.
  package func streamIsMissing(_ path: StreamPath) {
    if let puller = pullers[path] { return puller.wasAskedFor() }
    guard path.publishRefusal == nil, let rule = configuration.pull.first(where: { $0.path.matches(path.text) }) else { return }
    guard pullers.count < configuration.maximumPulls else {
      return admission.context.log(
        .warning, "rtmp", "\(path) is not pulled: \(configuration.maximumPulls) streams are being pulled (pull.maximum)")
    }
    let puller = RTMPPuller(path, rule.from.filled(for: path), self)
    pullers[path] = puller
    puller.begin()
  }

  /// Ends every forward and pull, as before the server stops.
  package func stop() {
    for forwarder in Array(forwarders.values) { forwarder.stop() }
    for puller in Array(pullers.values) { puller.stop() }
  }

  internal func didEnd(_ forwarder: RTMPForwarder) { forwarders[ObjectIdentifier(forwarder)] = nil }
  internal func didEnd(_ puller: RTMPPuller) { pullers[puller.path] = nil }

  internal func tlsContext() throws(TLSError) -> TLSContext {
    if let tls { return tls }
    let made = try TLSContext.client(configuration.trust)
    tls = made
    return made
  }
}
