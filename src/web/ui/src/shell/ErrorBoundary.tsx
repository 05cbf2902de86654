// Keeps a fault in one part of the page from taking the rest with it.
import { Component, type ReactNode } from 'react';
import { Problem } from '../query/Messages';

interface Props {
  /** A change of this key tries again. */
  resetKey?: string;
  children: ReactNode;
}

export class ErrorBoundary extends Component<Props, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override componentDidUpdate(previous: Props) {
    if (previous.resetKey !== this.props.resetKey && this.state.error) this.setState({ error: null });
  }

  override render() {
    const { error } = this.state;
    if (error) return <Problem title="This part of the page failed" text={error.message} />;
    return this.props.children;
  }
}
