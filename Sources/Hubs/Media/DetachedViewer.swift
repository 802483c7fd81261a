/// A viewer that holds no place in a ring, since it comes and goes with its requests: HLS, for example. It is listed and closed
/// like the others once it is added to its stream's hub.
package protocol DetachedViewer: AnyObject {
  var client: ClientInfo { get }
  var bytesSent: Int { get }
  func kick(_ reason: KickReason)
}
