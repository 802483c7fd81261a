internal import MartletIO
package import MartletMedia
internal import MartletPrimitives

/// The HLS outputs of the streams whose home is this worker, and their viewers.
package final class HLSOutputs {
  private struct Entry {
    let output: HLSOutput
    weak var stream: Stream?
    var lastVisit: Instant
    var viewers: [HLSViewerKey: HLSViewer] = [:]
  }

  private let configuration: HLSConfiguration
  private let admission: Admission
  private let catalog: HLSCatalog
  private let disk: HLSDisk?
  private var entries: [StreamPath: Entry] = [:]

  package init(_ configuration: HLSConfiguration, _ admission: Admission, _ catalog: HLSCatalog, _ disk: HLSDisk?) {
    self.configuration = configuration
    self.admission = admission
    self.catalog = catalog
    self.disk = disk
    sweepLater()
  }

  private var context: LoopContext { admission.context }

  /// A stream appeared on this worker.
  package func streamDidStart(_ stream: Stream) {
    guard configuration.isEnabled else { return }
    // Players of an earlier publication may still be there.
    let isKnown = catalog.presentation(stream.path) != nil
    if configuration.always || isKnown || catalog.isAwaited(stream.path) { start(stream) }
  }

  /// Cuts the stream into segments from now on, beginning with what the GOP cache holds.
  internal func start(_ stream: Stream) {
    let context = context
    if let entry = entries[stream.path], entry.stream === stream {
      guard !entry.output.isRunning else { return }
      entries[stream.path]?.lastVisit = context.now
      entry.output.start()
      return stream.add(entry.output)
    }
    let output = HLSOutput(stream.path, configuration, catalog: catalog, disk: disk) { [unowned context] in context.wallTime }
    output.onEnd = { [unowned self] output in self.didEnd(output) }
    entries[stream.path] = Entry(output: output, stream: stream, lastVisit: context.now)
    output.start()
    stream.add(output)
    context.log(.info, "hls", "\(stream.path) is cut into segments")
  }

  private func didEnd(_ output: HLSOutput) {
    if let entry = entries.removeValue(forKey: output.path) {
      for viewer in entry.viewers.values { end(viewer) }
    }
    // The last playlist must be there for as long as players may take to reach its end.
    context.schedule(after: configuration.window + output.targetDuration) { output.forget() }
  }

  // MARK: Viewers

  internal func receive(_ visit: HLSVisit) {
    guard let entry = entries[visit.key.path] else { return }
    let now = context.now
    entries[visit.key.path]?.lastVisit = now
    if let viewer = entry.viewers[visit.key] { return viewer.receive(visit, now: now) }
    guard entry.viewers.count < configuration.maximumViewers else { return }
    var client = ClientInfo(
      id: admission.hub.nextClientID(), role: .viewer, transport: "hls", path: visit.key.path, remote: visit.remote,
      since: context.wallTime, user: visit.user, userAgent: visit.userAgent)
    client.tokenID = visit.tokenID
    let viewer = HLSViewer(client, key: visit.key, now: now)
    viewer.receive(visit, now: now)
    viewer.onKick = { [unowned self] viewer, reason in self.kick(viewer, reason) }
    entries[visit.key.path]?.viewers[visit.key] = viewer
    admission.hub.add(viewer)
    admission.access.sessionDidBegin(client)
    context.log(.info, "hls", "\(client.path) is watched", ["peer": "\(client.remote)", "client": client.id])
  }

  /// Its requests are refused for as long as a player would go on by itself.
  private func kick(_ viewer: HLSViewer, _ reason: KickReason) {
    context.log(.info, "hls", "\(viewer.client.path): viewer closed: \(reason)", ["client": viewer.client.id])
    catalog.block(viewer.key, now: context.now, until: context.now + .seconds(60))
    entries[viewer.key.path]?.viewers[viewer.key] = nil
    end(viewer)
  }

  private func end(_ viewer: HLSViewer) {
    admission.hub.remove(viewer)
    admission.access.sessionDidEnd(viewer.client)
  }

  private func sweepLater() {
    context.schedule(after: .seconds(1)) { [weak self] in
      self?.sweep()
      self?.sweepLater()
    }
  }

  private func sweep() {
    let now = context.now
    for (path, entry) in entries {
      let patience = entry.output.targetDuration * 3
      for (key, viewer) in entry.viewers where now - viewer.lastVisit > patience {
        entries[path]?.viewers[key] = nil
        end(viewer)
      }
      if entry.stream == nil, !entry.output.isRunning {
        entries[path] = nil
        entry.output.forget()
      }
      guard entry.output.isRunning, !configuration.always, now - entry.lastVisit > configuration.idle else { continue }
      entry.stream?.remove(entry.output)
      entry.output.stop()
      context.log(.info, "hls", "\(path): no request for \(Int(configuration.idle.seconds)) s, no more segments")
    }
  }
}
