package import MartletCodecs
internal import MartletPrimitives

/// A stream as it stands on its home worker.
package struct StreamSnapshot: Sendable {
  package let path: StreamPath
  /// `nil` within the grace period.
  package let publisher: ClientInfo?
  package let formats: [TrackFormat]
  package let statistics: StreamStatistics
}

/// A publisher or viewer of one worker.
package struct ClientSnapshot: Sendable {
  package let client: ClientInfo
  /// Bytes sent to a viewer; 0 for publishers.
  package let bytesSent: Int
  /// How often a viewer lagged so far that it went on at a later key frame.
  package let skips: Int
}

/// What the REST API, the metrics and administration need of one worker, as values.
extension MediaHub {
  package var streamSnapshots: [StreamSnapshot] {
    localStreams.map { StreamSnapshot(path: $0.path, publisher: $0.publisher, formats: $0.formats, statistics: $0.statistics) }
  }

  package var clientSnapshots: [ClientSnapshot] {
    localPublications.map { ClientSnapshot(client: $0.client, bytesSent: 0, skips: 0) }
      + localRings.flatMap { ring in
        ring.readers.map { ClientSnapshot(client: $0.client, bytesSent: $0.bytesSent, skips: $0.skips) }
      }
      + localPacketReaders.map { ClientSnapshot(client: $0.client, bytesSent: $0.bytesSent, skips: $0.skips) }
      + localDetachedViewers.map { ClientSnapshot(client: $0.client, bytesSent: $0.bytesSent, skips: 0) }
  }

  /// Viewers of each stream by transport.
  package var viewerCounts: [StreamPath: [String: Int]] {
    var counts: [StreamPath: [String: Int]] = [:]
    for ring in localRings {
      for reader in ring.readers { counts[ring.path, default: [:]][reader.client.transport, default: 0] += 1 }
    }
    for reader in localPacketReaders { counts[reader.client.path, default: [:]][reader.client.transport, default: 0] += 1 }
    for viewer in localDetachedViewers { counts[viewer.client.path, default: [:]][viewer.client.transport, default: 0] += 1 }
    return counts
  }

  /// Closes every client of this worker that `isMeant`.
  /// - Returns: how many.
  @discardableResult package func kick(_ reason: KickReason, where isMeant: (ClientInfo) -> Bool) -> Int {
    let publications = localPublications.filter { isMeant($0.client) }
    for publication in publications { publication.revoke(reason) }
    let readers = localRings.flatMap { $0.readers.filter { isMeant($0.client) } }
    for reader in readers { reader.kick(reason) }
    let packetReaders = localPacketReaders.filter { isMeant($0.client) }
    for reader in packetReaders { reader.owner?.readerWasKicked(reader, reason) }
    let viewers = localDetachedViewers.filter { isMeant($0.client) }
    for viewer in viewers { viewer.kick(reason) }
    return publications.count + readers.count + packetReaders.count + viewers.count
  }
}
