/** The CustomResourceDefinitions of this version of Countersign. */
export const CRDS = [{ name: 'identitytemplates.countersign.dev', version: 'v1alpha1' }] as const
